//! A schedule as text, so that a run that failed can be run again.

use std::fmt;
use std::str::FromStr;

/// Where another participant went on than the one that would have by default.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Switch {
    /// Number of the point, counted from 0 over all participants.
    pub point: u64,
    /// Who went on.
    pub to: usize,
}

/// Something that happens to a participant when it comes to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// To whom.
    pub participant: usize,
    /// At which of its calls, counted from 0.
    pub call: u32,
    /// What.
    pub kind: FaultKind,
}

/// What can happen to a participant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// It is dead: this call and all that it tries later do nothing, and fail with `Cancelled`.
    Crash,
    /// It stands still until all others have ended, then goes on, ten years later.
    Freeze,
    /// Its next put takes effect, and fails with `Io`.
    AmbiguousPut,
    /// Its clock jumps by so many years.
    Clock(i32),
}

/// All that makes a run what it is, beside the participants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// In the order of points.
    pub switches: Vec<Switch>,
    /// In the order in which they are listed, where several come at one call.
    pub faults: Vec<Fault>,
}

/// A text that is no script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParseScriptError;

impl fmt::Display for ParseScriptError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected switches like 12>1 and faults like 0@3:crash, apart by spaces")
    }
}

impl std::error::Error for ParseScriptError {}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let switches = self.switches.iter();
        let switches = switches.map(|switch| format!("{}>{}", switch.point, switch.to));
        let faults = self.faults.iter().map(|fault| {
            let what = match fault.kind {
                FaultKind::Crash => "crash".to_owned(),
                FaultKind::Freeze => "freeze".to_owned(),
                FaultKind::AmbiguousPut => "ambiguous".to_owned(),
                FaultKind::Clock(years) => format!("clock{years:+}"),
            };
            format!("{}@{}:{what}", fault.participant, fault.call)
        });
        let words: Vec<_> = switches.chain(faults).collect();
        f.write_str(&words.join(" "))
    }
}

impl FromStr for Script {
    type Err = ParseScriptError;

    fn from_str(text: &str) -> Result<Self, ParseScriptError> {
        let mut script = Self::default();
        for word in text.split_whitespace() {
            if let Some((point, to)) = word.split_once('>') {
                let (point, to) = (number(point)?, number(to)?);
                script.switches.push(Switch { point, to });
            } else {
                script.faults.push(fault_of(word).ok_or(ParseScriptError)?);
            }
        }
        Ok(script)
    }
}

fn number<N: FromStr>(text: &str) -> Result<N, ParseScriptError> {
    text.parse().map_err(|_| ParseScriptError)
}

fn fault_of(word: &str) -> Option<Fault> {
    let (at, what) = word.split_once(':')?;
    let (participant, call) = at.split_once('@')?;
    let kind = match what {
        "crash" => FaultKind::Crash,
        "freeze" => FaultKind::Freeze,
        "ambiguous" => FaultKind::AmbiguousPut,
        other => FaultKind::Clock(other.strip_prefix("clock")?.parse().ok()?),
    };
    Some(Fault {
        participant: participant.parse().ok()?,
        call: call.parse().ok()?,
        kind,
    })
}
