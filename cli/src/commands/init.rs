//! `init`: a new repository.

use std::sync::Arc;

use blockstore::format::slot::Argon2Costs;
use blockstore::repository::keys::SlotOptions;
use blockstore::repository::{CreateOptions, Repository};
use blockstore::storage::local::LocalBackend;

use crate::args::InitArgs;
use crate::commands::Context;
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::json::InitReport;
use crate::secret::{self, Prompt};

pub(super) fn run(context: &Context<'_>, args: &InitArgs) -> Result<Outcome, Failure> {
    let path = context.repository_path()?;
    let secret = secret::read(&context.global.secret, &context.environment, Prompt::Twice)?;
    let backend = LocalBackend::create(path)?;
    let repository = Repository::create(Arc::new(backend), &secret, &options(args))?;
    if context.output.is_json() {
        context.output.object(&InitReport::of(&repository))?;
    } else {
        let id = repository.id();
        context.output.line(&format!("repository {id} made"))?;
        context
            .output
            .note("without its password or key file nothing can be restored from it");
    }
    Ok(Outcome::Done)
}

fn options(args: &InitArgs) -> CreateOptions {
    let defaults = SlotOptions::default();
    let costs = Argon2Costs {
        memory_kib: args.argon2_memory,
        passes: args.argon2_passes,
        ..defaults.costs
    };
    let created = u64::try_from(env::now().seconds).unwrap_or(0);
    CreateOptions {
        chunk_sizes: args.chunk_size,
        slot: SlotOptions {
            costs,
            label: args.label.clone(),
        },
        ..CreateOptions::new(created)
    }
}
