//! What packagers make of the arguments: completions and man pages. Hidden; they open nothing.

use clap::CommandFactory;

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::commands::Context;
use crate::exit::{Failure, Outcome};

pub(super) fn completions(
    context: &Context<'_>,
    args: &CompletionsArgs,
) -> Result<Outcome, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "blockstore", &mut script);
    context.output.bytes(&script)?;
    Ok(Outcome::Done)
}

pub(super) fn man(args: &ManArgs) -> Result<Outcome, Failure> {
    let failed = |error| {
        let what = format!("{}: man pages cannot be written", args.folder.display());
        Failure::Local(what, error)
    };
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(failed)?;
    Ok(Outcome::Done)
}
