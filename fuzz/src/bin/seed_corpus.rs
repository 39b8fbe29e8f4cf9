//! Writes what the fuzzer begins with.

fn main() -> std::io::Result<()> {
    blockstore_fuzz::corpus::write_all()
}
