//! The command line: arguments in, one engine call, report out.

mod args;
mod commands;
mod env;
mod exit;
mod output;
mod progress;
mod render;
mod secret;
mod signals;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    env::raise_open_file_limit();
    let cli = match args::Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return exit::usage(&error),
    };
    let output = output::Output::new(&cli.global);
    exit::finish(&output, commands::run(&cli, &output))
}
