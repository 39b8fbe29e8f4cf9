//! Makes every vector of `vectors/`: fixed keys, salts and times, so that the bytes are always the same.
//!
//! A rejected vector breaks one rule and keeps all others, hashes and seals included: what it is rejected
//! for does not hang on the order of checks, except where FORMAT.md gives one.

mod boots;
mod clear;
mod forgetting;
mod manifest;
mod moved;
mod payloads;
pub(crate) mod sealed;

/// The classes, as the head of a vector spells them.
pub(crate) const VALID: &str = "valid";
pub(crate) const TRUNCATED: &str = "truncated";
pub(crate) const CHECKSUM: &str = "bad checksum";
pub(crate) const VERSION: &str = "unknown version";
pub(crate) const FLAG: &str = "unknown required flag";
pub(crate) const LIMIT: &str = "limit exceeded";
pub(crate) const MALFORMED: &str = "malformed";
pub(crate) const WRONG_KEY: &str = "wrong key";

/// The vectors of one kind, with what their heads have in common.
pub(crate) struct Set {
    kind: &'static str,
    name: String,
    context: String,
    made: Vec<(String, Vec<u8>)>,
}

impl Set {
    fn new(kind: &'static str, name: &str, context: &str) -> Set {
        Set {
            kind,
            name: name.into(),
            context: context.into(),
            made: Vec::new(),
        }
    }

    /// Adds the file `<kind>_<claim>.vec`.
    fn add(&mut self, claim: &str, expect: &str, comment: &str, bytes: impl Into<Vec<u8>>) {
        let context = self.context.clone();
        self.add_in(&context, claim, expect, comment, bytes);
    }

    /// Adds `valid` without its last byte, of which `expect` and `comment` are, and with one behind it.
    fn add_ends(&mut self, expect: &str, comment: &str, valid: &[u8]) {
        self.add("cut", expect, comment, &valid[..valid.len() - 1]);
        let longer = [valid, &[0]].concat();
        self.add("longer", MALFORMED, "a byte follows", longer);
    }

    /// Adds a file with a context of its own.
    fn add_in(
        &mut self,
        context: &str,
        claim: &str,
        expect: &str,
        comment: &str,
        bytes: impl Into<Vec<u8>>,
    ) {
        let mut head = format!(
            "kind: {}\nexpect: {expect}\ncomment: {comment}\n",
            self.kind
        );
        for (key, value) in [("name", self.name.as_str()), ("context", context)] {
            if !value.is_empty() {
                head.push_str(&format!("{key}: {value}\n"));
            }
        }
        head.push('\n');
        let file = [head.into_bytes(), bytes.into()].concat();
        self.made.push((format!("{}_{claim}", self.kind), file));
    }
}

/// All vectors: claim and file.
pub(crate) fn all() -> Vec<(String, Vec<u8>)> {
    let sets = [
        clear::all(),
        sealed::all(),
        moved::all(),
        payloads::all(),
        forgetting::all(),
        boots::all(),
        manifest::all(),
    ];
    sets.into_iter()
        .flatten()
        .flat_map(|set| set.made)
        .collect()
}
