//! The grammar of metadata: sections in sections, of texts, numbers and lists of these.
//!
//! ```text
//! section := (name '{' section '}' | name '=' value)*
//! value   := '"' text '"' | number | '[' [value (',' value)*] ']'
//! ```
//! From `#` to the end of a line is a comment. How deep, and how much of it there is, is limited.

use crate::limits::{LVM_DEPTH_LIMIT, LVM_VALUES_MAX};
use crate::sources::volume::layout::lvm::Told;

/// What a name stands for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Value<'t> {
    /// As it stands between the quotes.
    Text(&'t str),
    Number(i64),
    List(Vec<Value<'t>>),
    Section(Section<'t>),
}

/// Names and what they stand for, in their order.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Section<'t>(Vec<(&'t str, Value<'t>)>);

impl<'t> Section<'t> {
    pub(super) fn decode(text: &'t str) -> Told<Self> {
        let mut parser = Parser {
            rest: text,
            values: 0,
        };
        let section = parser.section(0)?;
        // Metadata ends with a zero byte.
        match parser.next() {
            None | Some('\0') => Ok(section),
            Some(_) => Err(parser.wrong("a name")),
        }
    }

    pub(super) fn value(&self, name: &str) -> Option<&Value<'t>> {
        let found = self.0.iter().find(|(one, _)| *one == name);
        found.map(|(_, value)| value)
    }

    pub(super) fn text(&self, name: &str) -> Told<&'t str> {
        match self.value(name) {
            Some(Value::Text(text)) => Ok(text),
            _ => Err(format!("has metadata without a text {name}")),
        }
    }

    /// A number that counts something.
    pub(super) fn count(&self, name: &str) -> Told<u64> {
        let number = match self.value(name) {
            Some(Value::Number(number)) => u64::try_from(*number).ok(),
            _ => None,
        };
        number.ok_or_else(|| format!("has metadata without a number {name}"))
    }

    pub(super) fn list(&self, name: &str) -> &[Value<'t>] {
        match self.value(name) {
            Some(Value::List(values)) => values,
            _ => &[],
        }
    }

    /// The sections in it, in their order.
    pub(super) fn sections(&self) -> impl Iterator<Item = (&'t str, &Section<'t>)> {
        self.0.iter().filter_map(|(name, value)| match value {
            Value::Section(section) => Some((*name, section)),
            _ => None,
        })
    }

    pub(super) fn section(&self, name: &str) -> Option<&Section<'t>> {
        let found = self.sections().find(|(one, _)| *one == name);
        found.map(|(_, section)| section)
    }
}

struct Parser<'t> {
    rest: &'t str,
    values: usize,
}

impl<'t> Parser<'t> {
    /// Names and values up to what is none.
    fn section(&mut self, depth: usize) -> Told<Section<'t>> {
        if depth > LVM_DEPTH_LIMIT {
            return Err(format!(
                "has metadata deeper than {LVM_DEPTH_LIMIT} sections"
            ));
        }
        let mut section = Section::default();
        while let Some(name) = self.name() {
            self.count()?;
            let value = match self.next() {
                Some('{') => {
                    self.skip(1);
                    let inner = self.section(depth + 1)?;
                    self.expect('}')?;
                    Value::Section(inner)
                }
                _ => {
                    self.expect('=')?;
                    self.value(depth)?
                }
            };
            section.0.push((name, value));
        }
        Ok(section)
    }

    fn value(&mut self, depth: usize) -> Told<Value<'t>> {
        match self.next() {
            Some('"') => self.text(),
            Some('[') if depth < LVM_DEPTH_LIMIT => self.list(depth),
            Some('-' | '0'..='9') => self.number(),
            _ => Err(self.wrong("a value")),
        }
    }

    fn list(&mut self, depth: usize) -> Told<Value<'t>> {
        self.skip(1);
        let mut values = Vec::new();
        while self.next() != Some(']') {
            if !values.is_empty() {
                self.expect(',')?;
            }
            self.count()?;
            values.push(self.value(depth + 1)?);
        }
        self.skip(1);
        Ok(Value::List(values))
    }

    fn text(&mut self) -> Told<Value<'t>> {
        self.skip(1);
        let mut is_escaped = false;
        let end = self.rest.find(|character| {
            let is_end = character == '"' && !is_escaped;
            is_escaped = character == '\\' && !is_escaped;
            is_end
        });
        let end = end.ok_or_else(|| self.wrong("the end of a text"))?;
        let text = &self.rest[..end];
        self.skip(end + 1);
        Ok(Value::Text(text))
    }

    fn number(&mut self) -> Told<Value<'t>> {
        let is_part = |character: char| matches!(character, '-' | '.' | '0'..='9');
        let digits = self.take_while(is_part);
        // There are some with a fraction, which nobody here asks for.
        let whole = digits.split('.').next().unwrap_or(digits);
        let number = whole.parse().map(Value::Number);
        number.map_err(|_| "has metadata with a number that is too large".to_owned())
    }

    fn name(&mut self) -> Option<&'t str> {
        self.next();
        let is_part = |character: char| {
            character.is_ascii_alphanumeric() || matches!(character, '_' | '.' | '+' | '-')
        };
        Some(self.take_while(is_part)).filter(|name| !name.is_empty())
    }

    fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'t str {
        let end = self.rest.find(|character| !is_part(character));
        let (taken, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        self.rest = rest;
        taken
    }

    /// The next character that is neither space nor comment, which is not taken.
    fn next(&mut self) -> Option<char> {
        loop {
            self.rest = self.rest.trim_start();
            let comment = self.rest.strip_prefix('#');
            let Some(comment) = comment else {
                return self.rest.chars().next();
            };
            self.rest = comment.split_once('\n').map_or("", |(_, rest)| rest);
        }
    }

    fn expect(&mut self, wanted: char) -> Told<()> {
        if self.next() != Some(wanted) {
            return Err(self.wrong(&format!("{wanted}")));
        }
        self.skip(1);
        Ok(())
    }

    /// Passes over so many bytes, which were looked at.
    fn skip(&mut self, len: usize) {
        self.rest = self.rest.get(len..).unwrap_or_default();
    }

    fn count(&mut self) -> Told<()> {
        self.values += 1;
        match self.values <= LVM_VALUES_MAX {
            true => Ok(()),
            false => Err(format!("has metadata of more than {LVM_VALUES_MAX} values")),
        }
    }

    fn wrong(&self, wanted: &str) -> String {
        let rest: String = self.rest.chars().take(20).collect();
        format!("has metadata that expects {wanted} where {rest:?} stands")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_texts_numbers_and_lists_are_read_and_comments_passed_over() {
        let text = "# made by hand\nvg {\n\tid = \"a\\\"b\"\nextent_size = 8192\t# 4 MiB\n\
                    flags = []\nstripes = [\n\"pv0\", 0,\"x\",-7.5]\ninner { a { } }\n}\nlast=1\0";
        let found = Section::decode(text).unwrap();
        let group = found.section("vg").unwrap();
        assert_eq!(group.text("id").unwrap(), "a\\\"b");
        assert_eq!(group.count("extent_size").unwrap(), 8192);
        assert_eq!(group.list("flags"), []);
        let stripes = [
            Value::Text("pv0"),
            Value::Number(0),
            Value::Text("x"),
            Value::Number(-7),
        ];
        assert_eq!(group.list("stripes"), stripes);
        assert!(group.section("inner").unwrap().section("a").is_some());
        assert_eq!(found.count("last").unwrap(), 1);
        assert!(group.count("id").is_err() && group.text("none").is_err());
    }

    #[test]
    fn what_is_too_deep_too_much_or_no_grammar_is_refused() {
        let deep = "a {".repeat(LVM_DEPTH_LIMIT + 1);
        let lists = ["a = ", &"[".repeat(100_000)].concat();
        let many = "a=1 ".repeat(LVM_VALUES_MAX + 1);
        for (text, told) in [
            (deep.as_str(), "deeper than"),
            (&lists, "a value"),
            (&many, "more than"),
            ("a {", "expects }"),
            ("a = ", "a value"),
            ("a = \"b", "the end of a text"),
            ("a = [1 2]", "expects ,"),
            ("a = 99999999999999999999", "too large"),
            ("}", "a name"),
            ("a b", "expects ="),
            ("ä = 1", "a name"),
        ] {
            let error = Section::decode(text).unwrap_err();
            assert!(error.contains(told), "{}: {error}", text.len());
        }
    }
}
