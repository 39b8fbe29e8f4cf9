//! The CBOR that records and payloads may be made of, checked before anything is read from it. §1.
//!
//! minicbor reads the fields; it also takes indefinite lengths, keys twice and bytes behind the end, which
//! would give one content several spellings, or two readers two contents. Values are not looked at here.

use crate::format::cursor::Cursor;
use crate::format::{DecodeError, Decoded, ensure};
use crate::limits::RECORD_ITEMS_LIMIT;

/// How deeply values may nest; version 1 itself nests four deep.
const DEPTH_LIMIT: usize = 16;

const UINT: u8 = 0;
const NEGATIVE: u8 = 1;
const BYTES: u8 = 2;
const TEXT: u8 = 3;
const ARRAY: u8 = 4;
const MAP: u8 = 5;
const TAG: u8 = 6;

/// Reads `bytes`, which must be one map of this format and nothing more.
pub(crate) fn decode<'b, T>(bytes: &'b [u8], what: &'static str) -> Decoded<T>
where
    T: minicbor::Decode<'b, ()>,
{
    validate(bytes)?;
    minicbor::decode(bytes).map_err(|_| DecodeError::Malformed(what))
}

/// Ends that come early are malformed too: the envelope around these bytes has told truncation.
fn validate(bytes: &[u8]) -> Decoded<()> {
    let mut cursor = Cursor::new(bytes);
    match value(&mut cursor, 0) {
        Err(DecodeError::Truncated) => Err(DecodeError::Malformed("CBOR ends early")),
        Err(error) => Err(error),
        Ok(_) => cursor.finish("bytes follow the CBOR"),
    }
}

/// Passes over one value; gives its major type and argument.
fn value(cursor: &mut Cursor<'_>, depth: usize) -> Decoded<(u8, u64)> {
    ensure(depth < DEPTH_LIMIT, "CBOR nests too deeply")?;
    let initial = cursor.u8()?;
    let (major, additional) = (initial >> 5, initial & 0x1f);
    let argument = argument(cursor, additional)?;
    match major {
        UINT => {}
        NEGATIVE => ensure(i64::try_from(argument).is_ok(), "number beyond 64 bits")?,
        BYTES => drop(take(cursor, argument)?),
        TEXT => {
            let text = std::str::from_utf8(take(cursor, argument)?);
            ensure(text.is_ok(), "text is not UTF-8")?;
        }
        ARRAY => {
            if argument > RECORD_ITEMS_LIMIT as u64 {
                return Err(DecodeError::LimitExceeded("items of a list"));
            }
            for _ in 0..argument {
                value(cursor, depth + 1)?;
            }
        }
        MAP => map(cursor, argument, depth + 1)?,
        TAG => drop(value(cursor, depth + 1)?),
        // A null would be a second way to leave a key out.
        _ => ensure(!matches!(additional, 22 | 23), "null in CBOR")?,
    }
    Ok((major, argument))
}

fn map(cursor: &mut Cursor<'_>, count: u64, depth: usize) -> Decoded<()> {
    let mut last = None;
    for _ in 0..count {
        let (major, key) = value(cursor, depth)?;
        ensure(major == UINT, "key is not an unsigned number")?;
        ensure(last.is_none_or(|last| last < key), "keys do not ascend")?;
        last = Some(key);
        value(cursor, depth)?;
    }
    Ok(())
}

/// Longer forms of a number are read as RFC 8949 allows; they are in network byte order.
fn argument(cursor: &mut Cursor<'_>, additional: u8) -> Decoded<u64> {
    let width = match additional {
        0..=23 => return Ok(additional.into()),
        24 => 1,
        25 => 2,
        26 => 4,
        27 => 8,
        31 => return Err(DecodeError::Malformed("CBOR of indefinite length")),
        _ => return Err(DecodeError::Malformed("reserved form of CBOR")),
    };
    let bytes = cursor.take(width)?;
    Ok(bytes
        .iter()
        .fold(0, |number, &byte| number << 8 | u64::from(byte)))
}

fn take<'a>(cursor: &mut Cursor<'a>, len: u64) -> Decoded<&'a [u8]> {
    cursor.take(usize::try_from(len).unwrap_or(usize::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_refused(bytes: &[u8]) -> bool {
        matches!(validate(bytes), Err(DecodeError::Malformed(_)))
    }

    #[test]
    fn what_a_later_writer_may_add_is_passed_over() {
        // {0: 1, 9: 1.5, 10: tag 1 of 5, 11: [true, -1, h'00', "a"]}, the last number in a long form.
        let bytes = [
            &[0xa4, 0x00, 0x01, 0x09, 0xf9, 0x3e, 0x00, 0x0a, 0xc1, 0x05][..],
            &[0x0b, 0x84, 0xf5, 0x20, 0x41, 0x00, 0x61, b'a'],
        ];
        assert_eq!(validate(&bytes.concat()), Ok(()));
        assert_eq!(validate(&[0x1a, 0, 0, 0, 1]), Ok(()));
    }

    #[test]
    fn a_list_that_would_fill_memory_is_refused_at_its_length() {
        let limit = DecodeError::LimitExceeded("items of a list");
        assert_eq!(validate(&[0x9a, 0, 1, 0, 1]), Err(limit));
    }

    #[test]
    fn one_content_has_one_spelling_but_for_the_length_of_numbers() {
        let refused: [&[u8]; 9] = [
            &[],
            &[0xa1, 0x00],
            &[0xa0, 0x00],
            &[0xbf, 0xff],
            &[0xa2, 0x01, 0x00, 0x00, 0x00],
            &[0xa2, 0x01, 0x00, 0x01, 0x00],
            &[0xa1, 0x61, b'a', 0x00],
            &[0xa1, 0x00, 0xf6],
            &[0x61, 0xff],
        ];
        for bytes in refused {
            assert!(is_refused(bytes), "{bytes:02x?}");
        }
    }

    #[test]
    fn a_hostile_depth_or_length_is_refused_before_it_costs_anything() {
        assert!(is_refused(&[0x81; 1 << 16]));
        assert!(is_refused(&[0xc1; 1 << 16]));
        assert!(is_refused(&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]));
        let nested = |depth| [vec![0x81; depth], vec![0x00]].concat();
        assert_eq!(validate(&nested(DEPTH_LIMIT - 1)), Ok(()));
        assert!(is_refused(&nested(DEPTH_LIMIT)));
    }
}
