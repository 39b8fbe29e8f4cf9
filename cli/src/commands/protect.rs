//! `protect`: a snapshot cannot be forgotten until some time.

use blockstore::Timestamp;
use blockstore::operations::protect::{ProtectOptions, protect};
use blockstore::repository::snapshots::find;

use crate::args::{Moment, ProtectArgs};
use crate::commands::{Context, writer};
use crate::env;
use crate::exit::{Failure, Outcome};
use crate::render::json::ProtectSummary;
use crate::render::retention;

pub(super) fn run(context: &Context<'_>, args: &ProtectArgs) -> Result<Outcome, Failure> {
    let writer = writer(env::host());
    let options = ProtectOptions {
        until: until(args.until, writer.started)?,
        shorten: args.shorten,
        writer,
    };
    let opened = context.open()?;
    let snapshot = find(&opened.repository, &args.snapshot)?;
    let report = protect(&opened.repository, snapshot.session, &options)?;
    if context.output.is_json() {
        context.output.object(&ProtectSummary::of(&report))?;
    } else {
        context.output.line(&retention::protected(&report))?;
    }
    Ok(Outcome::Done)
}

fn until(moment: Moment, now: Timestamp) -> Result<Timestamp, Failure> {
    match moment {
        Moment::Time(time) => Ok(env::timestamp_of(time.into())),
        Moment::Local(local) => env::time_of_local(local)
            .ok_or_else(|| Failure::Usage(format!("--until: {local} is beyond the calendar"))),
        Moment::In(span) => Ok(span.after(now, env::zone_offset(now))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_becomes_a_point_in_time() {
        let now = Timestamp {
            seconds: 1_790_000_000,
            nanoseconds: 5,
        };
        let at = |text: &str| until(text.parse().unwrap(), now).unwrap();
        assert_eq!(at("2026-09-21T14:13:20Z").seconds, 1_790_000_000);
        assert_eq!(at("1969-12-31T23:59:59.5Z").seconds, -1);
        assert_eq!(at("2d").seconds, 1_790_000_000 + 2 * 86_400);
        let date = at("2026-09-21");
        let of_zone = date.seconds + i64::from(env::zone_offset(date));
        assert_eq!(of_zone % 86_400, 0, "midnight here");
    }
}
