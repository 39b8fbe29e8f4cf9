//! The command line: arguments in, one engine call, report out.
fn main() {}
