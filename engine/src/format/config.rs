//! Body of the config record: what is fixed when a repository is made. §6.

use minicbor::{Decode, Encode};

use crate::format::id::RepositoryId;
use crate::format::{DecodeError, Decoded, cbor, ensure};
use crate::limits::CHUNK_LEN_LIMIT;

/// Smallest average chunk: below it the chunker's two stages have no bits left.
const CHUNK_LEN_AVG_MIN: u32 = 8192;
/// Smallest shortest chunk: the chunker's window lies inside it.
const CHUNK_LEN_MIN_MIN: u32 = 64;

/// Parameters of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Names the repository, for ever.
    pub repository: RepositoryId,
    /// When it was made, seconds since 1970.
    pub created: u64,
    /// Shortest chunk, bytes.
    pub chunk_len_min: u32,
    /// Average chunk, bytes; a power of two.
    pub chunk_len_avg: u32,
    /// Longest chunk, bytes.
    pub chunk_len_max: u32,
    /// Algorithm of new objects, as in `transform::seal`.
    pub aead: u8,
    /// What the backend was found to be able to do.
    pub abilities: u64,
    /// Epoch of the class keys for new objects.
    pub epoch: u32,
}

/// Bit of [`Config::abilities`]: of two puts of one name the second fails.
pub const ABILITY_PUT_IF_ABSENT: u64 = 1;

#[derive(Encode, Decode)]
#[cbor(map)]
struct Body {
    #[cbor(n(0), with = "minicbor::bytes")]
    repository: [u8; 16],
    #[n(1)]
    created: u64,
    #[n(2)]
    chunk_len_min: u32,
    #[n(3)]
    chunk_len_avg: u32,
    #[n(4)]
    chunk_len_max: u64,
    #[n(5)]
    aead: u8,
    #[n(6)]
    abilities: u64,
    #[n(7)]
    epoch: u32,
}

impl Config {
    /// Reads the body of a config record.
    pub fn decode(body: &[u8]) -> Decoded<Self> {
        let body: Body = cbor::decode(body, "config")?;
        let config = Self {
            repository: RepositoryId(body.repository),
            created: body.created,
            chunk_len_min: body.chunk_len_min,
            chunk_len_avg: body.chunk_len_avg,
            // A length of more than 32 bits is over the limit as well.
            chunk_len_max: u32::try_from(body.chunk_len_max).unwrap_or(u32::MAX),
            aead: body.aead,
            abilities: body.abilities,
            epoch: body.epoch,
        };
        config.validate().map(|()| config)
    }

    /// The body of a config record.
    pub fn encode(&self) -> Vec<u8> {
        let body = Body {
            repository: self.repository.0,
            created: self.created,
            chunk_len_min: self.chunk_len_min,
            chunk_len_avg: self.chunk_len_avg,
            chunk_len_max: self.chunk_len_max.into(),
            aead: self.aead,
            abilities: self.abilities,
            epoch: self.epoch,
        };
        minicbor::to_vec(body).expect("writing to memory cannot fail")
    }

    /// Checks the chunk lengths and the algorithm.
    pub fn validate(&self) -> Decoded<()> {
        let (min, avg, max) = (self.chunk_len_min, self.chunk_len_avg, self.chunk_len_max);
        if max > CHUNK_LEN_LIMIT {
            return Err(DecodeError::LimitExceeded("longest chunk"));
        }
        ensure(
            min >= CHUNK_LEN_MIN_MIN && min <= avg && avg <= max,
            "chunk lengths are not in order",
        )?;
        let avg_ok = avg.is_power_of_two() && avg >= CHUNK_LEN_AVG_MIN;
        ensure(avg_ok, "average chunk is no power of two from 8192 up")?;
        ensure(matches!(self.aead, 1 | 2), "unknown AEAD")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Config {
        Config {
            repository: RepositoryId([3; 16]),
            created: 1_790_000_000,
            chunk_len_min: 16 << 10,
            chunk_len_avg: 64 << 10,
            chunk_len_max: 256 << 10,
            aead: 1,
            abilities: ABILITY_PUT_IF_ABSENT,
            epoch: 1,
        }
    }

    #[test]
    fn a_config_reads_back() {
        assert_eq!(Config::decode(&sample().encode()), Ok(sample()));
    }

    #[test]
    fn chunk_lengths_out_of_order_are_refused() {
        let avg_odd = Config {
            chunk_len_avg: 65_535,
            ..sample()
        };
        let min_over_avg = Config {
            chunk_len_min: 1 << 20,
            ..sample()
        };
        let max_huge = Config {
            chunk_len_max: u32::MAX,
            ..sample()
        };
        for config in [avg_odd, min_over_avg, max_huge] {
            assert!(Config::decode(&config.encode()).is_err());
        }
        assert!(Config::decode(b"").is_err());
    }
}
