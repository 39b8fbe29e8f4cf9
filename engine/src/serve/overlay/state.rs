//! The file `state`: what an overlay lies over, in lines that a person can read; the name of the
//! volume, `disk0/p2` here, is any bytes and so in hexadecimal digits.
//!
//! ```text
//! blockstore overlay 1
//! repository 3fa1...
//! snapshot 91c2...
//! volume 6469736b302f7032
//! length 12345
//! boot 8d0e...
//! checksum 77ab...
//! ```

use crate::format::{DecodeError, Decoded, ensure};

const MAGIC: &str = "blockstore overlay 1";

/// What lies below an overlay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OverlayBase {
    /// Id of the repository.
    pub repository: String,
    /// Id of the snapshot.
    pub snapshot: String,
    /// The volume, or the partition of it, as it is typed behind the snapshot; raw bytes.
    pub volume: Vec<u8>,
}

/// What the file says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(super) of: OverlayBase,
    /// Length of the view below.
    pub(super) len: u64,
    /// The start of the machine in which the overlay was opened last; empty if it had no name.
    pub(super) boot: String,
}

impl State {
    pub(crate) fn encode(&self) -> String {
        let body = format!(
            "{MAGIC}\nrepository {}\nsnapshot {}\nvolume {}\nlength {}\nboot {}\n",
            self.of.repository,
            self.of.snapshot,
            hex(&self.of.volume),
            self.len,
            self.boot,
        );
        let checksum = checksum(&body);
        format!("{body}checksum {checksum}\n")
    }

    pub(crate) fn decode(text: &[u8]) -> Decoded<Self> {
        let text = std::str::from_utf8(text).map_err(|_| DecodeError::Malformed("no text"))?;
        let body_end = text.rfind("checksum ").ok_or(DecodeError::Truncated)?;
        let (body, last) = text.split_at(body_end);
        let mut lines = body.lines();
        ensure(lines.next() == Some(MAGIC), "no overlay of this version")?;
        let told = last.strip_prefix("checksum ");
        let told = told.and_then(|told| told.strip_suffix('\n'));
        if told != Some(checksum(body).as_str()) {
            return Err(DecodeError::BadChecksum);
        }
        let mut value = |name: &str| {
            let line = lines.next().ok_or(DecodeError::Truncated)?;
            let value = line.strip_prefix(name);
            let value = value.and_then(|rest| rest.strip_prefix(' '));
            value.ok_or(DecodeError::Malformed("a line has another name"))
        };
        let of = OverlayBase {
            repository: value("repository")?.to_owned(),
            snapshot: value("snapshot")?.to_owned(),
            volume: from_hex(value("volume")?)?,
        };
        let len = value("length")?.parse();
        Ok(Self {
            of,
            len: len.map_err(|_| DecodeError::Malformed("the length is no number"))?,
            boot: value("boot")?.to_owned(),
        })
    }

    /// In words, what another state lies over that this one does not.
    pub(super) fn difference(&self, found: &Self) -> Option<String> {
        let volume = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (wanted, of) = (&self.of, &found.of);
        let pairs = [
            (
                "repository",
                of.repository.clone(),
                wanted.repository.clone(),
            ),
            ("snapshot", of.snapshot.clone(), wanted.snapshot.clone()),
            ("volume", volume(&of.volume), volume(&wanted.volume)),
            ("length", found.len.to_string(), self.len.to_string()),
        ];
        let (what, is, wanted) = pairs.into_iter().find(|(_, is, wanted)| is != wanted)?;
        Some(format!(
            "is an overlay of {what} {is}, not of {wanted}: choose another folder"
        ))
    }
}

fn checksum(body: &str) -> String {
    blake3::hash(body.as_bytes()).to_hex().to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn from_hex(text: &str) -> Decoded<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).map(|digit| digit as u8);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let bytes = pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?));
    let bytes = bytes
        .collect::<Option<Vec<u8>>>()
        .filter(|_| rest.is_empty());
    bytes.ok_or(DecodeError::Malformed("the volume is not hexadecimal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State {
            of: OverlayBase {
                repository: "3f".repeat(16),
                snapshot: "91".repeat(16),
                volume: b"disk0/\xff\n".to_vec(),
            },
            len: 1 << 40,
            boot: "8d0e-1".to_owned(),
        }
    }

    #[test]
    fn a_state_is_decoded_as_it_was_encoded() {
        assert_eq!(State::decode(state().encode().as_bytes()), Ok(state()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_of_a_state_is_refused() {
        let text = state().encode().into_bytes();
        for bit in 0..8 * text.len() {
            let mut flipped = text.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            State::decode(&flipped).expect_err("a flipped bit");
        }
        for len in 0..text.len() {
            State::decode(&text[..len]).expect_err("cut off");
        }
    }

    #[test]
    fn what_another_overlay_lies_over_is_told() {
        let other = |change: fn(&mut State)| {
            let mut other = state();
            change(&mut other);
            state().difference(&other)
        };
        assert_eq!(other(|_| {}), None);
        assert_eq!(other(|state| state.boot.clear()), None);
        let told = other(|state| state.of.snapshot = "77".to_owned()).expect("another snapshot");
        assert!(
            told.starts_with("is an overlay of snapshot 77, not of 9191"),
            "{told}"
        );
        assert!(other(|state| state.len = 5).is_some_and(|told| told.contains("length 5")));
    }
}
