//! As much of CBOR (RFC 8949) as the records and payloads use, read into a tree of values.
//!
//! Definite lengths only. Tags, floats and simple values are skipped: they can stand only under keys that
//! version 1 does not know.

use crate::reference::bytes::Reader;
use crate::reference::fault::Fault;
use crate::reference::fault::Rejection;
use crate::reference::fault::Result;

/// How deeply values may nest; version 1 itself nests 4 deep.
const DEPTH_MAX: u32 = 16;
/// Most items of one list.
const ITEMS_MAX: u64 = 65_536;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Uint(u64),
    Negative(i64),
    Bytes(Vec<u8>),
    Text(String),
    Array(Vec<Value>),
    Map(Vec<(u64, Value)>),
    Other,
}

/// Reads one value that is all of `bytes`. Where they end early they are malformed: the envelope around them
/// has told truncation.
fn decode(what: &str, bytes: &[u8]) -> Result<Value> {
    let mut reader = Reader::new(what, bytes);
    let value = read(&mut reader, 0).map_err(|rejection| match rejection.fault {
        Fault::Truncated => Rejection::new(Fault::Malformed, what, rejection.sentence),
        _ => rejection,
    })?;
    reader.finish()?;
    Ok(value)
}

fn read(reader: &mut Reader<'_>, depth: u32) -> Result<Value> {
    reader.require(depth < DEPTH_MAX, "CBOR nests too deeply")?;
    let initial = reader.u8()?;
    let argument = read_argument(reader, initial & 0x1f)?;
    Ok(match initial >> 5 {
        0 => Value::Uint(argument),
        1 => Value::Negative(negative(reader, argument)?),
        2 => Value::Bytes(read_string(reader, argument)?),
        3 => Value::Text(
            String::from_utf8(read_string(reader, argument)?)
                .map_err(|_| reader.fault(Fault::Malformed, "a text is not UTF-8"))?,
        ),
        4 => {
            reader.limit(argument, ITEMS_MAX, "the number of items of a list")?;
            Value::Array(read_items(reader, argument, |r| read(r, depth + 1))?)
        }
        5 => Value::Map(read_map(reader, argument, depth + 1)?),
        6 => {
            read(reader, depth + 1)?;
            Value::Other
        }
        _ => {
            let absent = matches!(initial & 0x1f, 22 | 23);
            reader.require(!absent, "a null or undefined value")?;
            Value::Other
        }
    })
}

/// Keys of every map, however deep, are unsigned and ascend strictly.
fn read_map(reader: &mut Reader<'_>, count: u64, depth: u32) -> Result<Vec<(u64, Value)>> {
    let mut fields: Vec<(u64, Value)> = Vec::new();
    for _ in 0..count {
        let Value::Uint(key) = read(reader, depth)? else {
            return Err(reader.fault(Fault::Malformed, "a key is not an unsigned integer"));
        };
        let ascends = fields.last().is_none_or(|(before, _)| *before < key);
        reader.require(ascends, "keys do not ascend")?;
        fields.push((key, read(reader, depth)?));
    }
    Ok(fields)
}

fn read_argument(reader: &mut Reader<'_>, additional: u8) -> Result<u64> {
    match additional {
        0..=23 => Ok(u64::from(additional)),
        24 => Ok(u64::from(reader.u8()?)),
        25 => Ok(from_network_order(&reader.array::<2>()?)),
        26 => Ok(from_network_order(&reader.array::<4>()?)),
        27 => Ok(from_network_order(&reader.array::<8>()?)),
        31 => Err(reader.fault(Fault::Malformed, "a CBOR length is indefinite")),
        _ => Err(reader.fault(Fault::Malformed, "reserved CBOR additional information")),
    }
}

/// CBOR is the one thing in the format that is not little-endian.
fn from_network_order(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |value, &byte| value << 8 | u64::from(byte))
}

fn negative(reader: &Reader<'_>, argument: u64) -> Result<i64> {
    let value = i64::try_from(argument)
        .map_err(|_| reader.fault(Fault::Malformed, "a negative number is beyond 64 bits"))?;
    Ok(-1 - value)
}

fn read_string(reader: &mut Reader<'_>, len: u64) -> Result<Vec<u8>> {
    let len = usize::try_from(len)
        .map_err(|_| reader.fault(Fault::Truncated, "a length is beyond the address space"))?;
    Ok(reader.take(len)?.to_vec())
}

fn read_items<T>(
    reader: &mut Reader<'_>,
    count: u64,
    mut item: impl FnMut(&mut Reader<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(reader)?);
    }
    Ok(items)
}

/// A map with ascending unsigned keys, asked for its fields by number.
#[derive(Debug)]
pub(crate) struct Map {
    what: String,
    fields: Vec<(u64, Value)>,
}

impl Map {
    /// Reads a record body or a payload.
    pub(crate) fn decode(what: &str, bytes: &[u8]) -> Result<Map> {
        Map::from_value(what, decode(what, bytes)?)
    }

    fn from_value(what: &str, value: Value) -> Result<Map> {
        let Value::Map(fields) = value else {
            return Err(Rejection::new(Fault::Malformed, what, "not a map"));
        };
        Ok(Map {
            what: what.to_string(),
            fields,
        })
    }

    pub(crate) fn fault(&self, fault: Fault, key: u64, sentence: &str) -> Rejection {
        Rejection::new(fault, format!("{} key {key}", self.what), sentence)
    }

    pub(crate) fn malformed(&self, key: u64, sentence: &str) -> Rejection {
        self.fault(Fault::Malformed, key, sentence)
    }

    pub(crate) fn has(&self, key: u64) -> bool {
        self.fields.iter().any(|(found, _)| *found == key)
    }

    fn take(&mut self, key: u64) -> Result<Value> {
        match self.fields.iter().position(|(found, _)| *found == key) {
            Some(index) => Ok(self.fields.remove(index).1),
            None => Err(self.malformed(key, "the key is absent")),
        }
    }

    pub(crate) fn uint(&mut self, key: u64) -> Result<u64> {
        match self.take(key)? {
            Value::Uint(value) => Ok(value),
            _ => Err(self.malformed(key, "not an unsigned integer")),
        }
    }

    pub(crate) fn u32(&mut self, key: u64) -> Result<u32> {
        let value = self.uint(key)?;
        u32::try_from(value).map_err(|_| self.malformed(key, "more than 32 bits"))
    }

    pub(crate) fn int(&mut self, key: u64) -> Result<i64> {
        match self.take(key)? {
            Value::Uint(value) => {
                i64::try_from(value).map_err(|_| self.malformed(key, "more than 64 bits"))
            }
            Value::Negative(value) => Ok(value),
            _ => Err(self.malformed(key, "not an integer")),
        }
    }

    pub(crate) fn bytes(&mut self, key: u64) -> Result<Vec<u8>> {
        match self.take(key)? {
            Value::Bytes(value) => Ok(value),
            _ => Err(self.malformed(key, "not a byte string")),
        }
    }

    pub(crate) fn array<const N: usize>(&mut self, key: u64) -> Result<[u8; N]> {
        let value = self.bytes(key)?;
        <[u8; N]>::try_from(value).map_err(|_| self.malformed(key, "another length"))
    }

    pub(crate) fn text(&mut self, key: u64) -> Result<String> {
        match self.take(key)? {
            Value::Text(value) => Ok(value),
            _ => Err(self.malformed(key, "not a text")),
        }
    }

    fn list(&mut self, key: u64) -> Result<Vec<Value>> {
        match self.take(key)? {
            Value::Array(value) => Ok(value),
            _ => Err(self.malformed(key, "not an array")),
        }
    }

    pub(crate) fn texts(&mut self, key: u64) -> Result<Vec<String>> {
        self.list(key)?
            .into_iter()
            .map(|value| match value {
                Value::Text(text) => Ok(text),
                _ => Err(self.malformed(key, "not an array of texts")),
            })
            .collect()
    }

    pub(crate) fn byte_strings(&mut self, key: u64) -> Result<Vec<Vec<u8>>> {
        self.list(key)?
            .into_iter()
            .map(|value| match value {
                Value::Bytes(bytes) => Ok(bytes),
                _ => Err(self.malformed(key, "not an array of byte strings")),
            })
            .collect()
    }

    pub(crate) fn map(&mut self, key: u64) -> Result<Map> {
        let value = self.take(key)?;
        Map::from_value(&format!("{} key {key}", self.what), value)
    }

    pub(crate) fn maps(&mut self, key: u64) -> Result<Vec<Map>> {
        let what = format!("{} key {key}", self.what);
        self.list(key)?
            .into_iter()
            .map(|value| Map::from_value(&what, value))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(bytes: &[u8]) -> Fault {
        Map::decode("test", bytes)
            .expect_err("must be rejected")
            .fault
    }

    #[test]
    fn a_map_of_a_future_writer_is_read_past() {
        // {0: 1, 9: 1.5 as half float, 10: tag 1 of 5}
        let bytes = [0xa3, 0x00, 0x01, 0x09, 0xf9, 0x3e, 0x00, 0x0a, 0xc1, 0x05];
        let mut map = Map::decode("test", &bytes).expect("valid");
        assert_eq!(map.uint(0), Ok(1));
    }

    #[test]
    fn keys_ascend_and_lengths_are_definite() {
        assert_eq!(fault(&[0xa2, 0x01, 0x00, 0x00, 0x00]), Fault::Malformed);
        assert_eq!(fault(&[0xa2, 0x01, 0x00, 0x01, 0x00]), Fault::Malformed);
        assert_eq!(fault(&[0xbf, 0xff]), Fault::Malformed);
        assert_eq!(fault(&[0xa1, 0x00]), Fault::Malformed);
        assert_eq!(fault(&[0xa0, 0x00]), Fault::Malformed);
        assert_eq!(fault(&[0x81; 64]), Fault::Malformed);
        assert_eq!(fault(&[0xa1, 0x00, 0xf6]), Fault::Malformed);
    }
}
