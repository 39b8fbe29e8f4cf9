//! What a client says in an option: decoded, never believed.

use crate::format::nbd::{self as wire, Fields};
use crate::format::{Decoded, ensure};
use crate::limits;

/// `NBD_OPT_INFO` and `NBD_OPT_GO`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct InfoOption<'a> {
    pub(super) export: &'a [u8],
    pub(super) wants_name: bool,
    pub(super) wants_description: bool,
}

/// `NBD_OPT_LIST_META_CONTEXT` and `NBD_OPT_SET_META_CONTEXT`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ContextsOption<'a> {
    pub(super) export: &'a [u8],
    pub(super) queries: Vec<&'a [u8]>,
}

impl<'a> InfoOption<'a> {
    pub(super) fn decode(payload: &'a [u8]) -> Decoded<Self> {
        let mut fields = Fields(payload);
        let export = name(&mut fields)?;
        let (mut wants_name, mut wants_description) = (false, false);
        for _ in 0..fields.u16()? {
            match fields.u16()? {
                wire::INFO_NAME => wants_name = true,
                wire::INFO_DESCRIPTION => wants_description = true,
                _ => {} // told anyway, or not known
            }
        }
        ensure(fields.0.is_empty(), "something follows the option")?;
        Ok(Self {
            export,
            wants_name,
            wants_description,
        })
    }
}

impl<'a> ContextsOption<'a> {
    pub(super) fn decode(payload: &'a [u8]) -> Decoded<Self> {
        let mut fields = Fields(payload);
        let export = name(&mut fields)?;
        let mut queries = Vec::new();
        for _ in 0..fields.u32()? {
            queries.push(name(&mut fields)?); // ends with the payload at the latest
        }
        ensure(fields.0.is_empty(), "something follows the option")?;
        Ok(Self { export, queries })
    }

    /// True if a list of contexts is to name this one: of no query all are meant, of one that ends
    /// in a colon all that begin so.
    pub(super) fn lists(&self, context: &str) -> bool {
        let context = context.as_bytes();
        let means = |query: &&[u8]| {
            *query == context || (query.ends_with(b":") && context.starts_with(query))
        };
        self.queries.is_empty() || self.queries.iter().any(means)
    }

    /// True if this context is asked for by its name.
    pub(super) fn names(&self, context: &str) -> bool {
        self.queries.contains(&context.as_bytes())
    }
}

fn name<'a>(fields: &mut Fields<'a>) -> Decoded<&'a [u8]> {
    let name = fields.text()?;
    ensure(
        name.len() <= limits::NBD_NAME_LEN_LIMIT,
        "a name is too long",
    )?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::DecodeError;
    use crate::format::nbd::Message;

    fn info() -> Vec<u8> {
        let message = Message::default().text("disk0").u16(3);
        message.u16(wire::INFO_BLOCK_SIZE).u16(1).u16(9).0
    }

    fn contexts(queries: &[&str]) -> Vec<u8> {
        let message = Message::default().text("disk0").u32(queries.len() as u32);
        queries
            .iter()
            .fold(message, |message, query| message.text(query))
            .0
    }

    #[test]
    fn an_option_is_decoded_and_what_is_not_known_of_it_passed_over() {
        let payload = info();
        let option = InfoOption::decode(&payload).expect("an option");
        let expected = InfoOption {
            export: b"disk0",
            wants_name: true,
            wants_description: false,
        };
        assert_eq!(option, expected);
    }

    #[test]
    fn an_option_that_is_cut_off_or_goes_on_is_refused() {
        for payload in [info(), contexts(&["base:allocation", ""])] {
            let decode = |bytes: &[u8]| match payload == info() {
                true => InfoOption::decode(bytes).map(drop),
                false => ContextsOption::decode(bytes).map(drop),
            };
            assert_eq!(decode(&payload), Ok(()));
            for len in 0..payload.len() {
                assert_eq!(
                    decode(&payload[..len]),
                    Err(DecodeError::Truncated),
                    "{len}"
                );
            }
            let longer = [payload.as_slice(), &[0]].concat();
            assert!(matches!(decode(&longer), Err(DecodeError::Malformed(_))));
        }
        let long = Message::default().text(&"x".repeat(4097)).u32(0);
        assert!(ContextsOption::decode(&long.0).is_err());
        let many = Message::default().text("").u32(u32::MAX);
        assert_eq!(ContextsOption::decode(&many.0), Err(DecodeError::Truncated));
    }

    #[test]
    fn a_list_takes_wildcards_and_a_choice_takes_names() {
        let allocation = "base:allocation";
        for (queries, is_listed, is_named) in [
            (&[][..], true, false),
            (&["base:"], true, false),
            (&["base:allocation"], true, true),
            (&["base:alloc"], false, false),
            (&["", "qemu:"], false, false),
        ] {
            let payload = contexts(queries);
            let option = ContextsOption::decode(&payload).expect("an option");
            assert_eq!(option.lists(allocation), is_listed, "{queries:?}");
            assert_eq!(option.names(allocation), is_named, "{queries:?}");
        }
    }
}
