//! As much JSON as lists of ranges are made of: one array of objects of plain values.
//!
//! Reads byte by byte and holds one text at a time; an entry is bounded. A library would bring
//! nested values, numbers with fractions, and texts of any length.

use std::io::{self, BufReader, Bytes, Read};

/// Longest entry, with the blanks around it: no tool writes a tenth of it.
pub(super) const ENTRY_LEN_LIMIT: usize = 64 << 10;
/// Longest name or text that is kept; what is longer is nothing that we know.
const TEXT_LEN_LIMIT: usize = 256;

/// Value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// A whole number of at most 64 bits, not negative.
    Number(u64),
    /// A text; the end of a long one is cut off.
    Text(String),
    /// True, false or null.
    Word,
}

/// Why a list cannot be read any further.
#[derive(Debug)]
pub(super) enum Failure {
    /// The list could not be read.
    Io(io::Error),
    /// It is not JSON, or more of it than lists are made of.
    Malformed(&'static str),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// A list, entry by entry.
#[derive(Debug)]
pub(super) struct Entries<R> {
    bytes: Bytes<BufReader<R>>,
    /// A byte that was looked at and not yet taken.
    next: Option<u8>,
    /// Bytes that the entry may still have.
    left: usize,
    is_begun: bool,
}

impl<R: Read> Entries<R> {
    pub(super) fn new(list: R) -> Self {
        Self {
            bytes: BufReader::new(list).bytes(),
            next: None,
            left: ENTRY_LEN_LIMIT,
            is_begun: false,
        }
    }

    /// Tells `take` the fields of the next entry; false behind the last one.
    pub(super) fn next_entry(
        &mut self,
        take: &mut dyn FnMut(&str, Value) -> Result<(), &'static str>,
    ) -> Result<bool, Failure> {
        self.left = ENTRY_LEN_LIMIT;
        let first = if self.is_begun {
            self.skip_blanks()?
        } else {
            self.expect(b'[', "it does not begin with [")?;
            self.skip_blanks()?
        };
        match (first, self.is_begun) {
            (Some(b']'), _) => {
                self.next = None;
                return self.expect_end().map(|()| false);
            }
            (Some(b','), true) => self.next = None,
            (_, true) => return Err(Failure::Malformed("neither , nor ] follows")),
            (_, false) => self.is_begun = true,
        }
        self.object(take).map(|()| true)
    }

    fn object(
        &mut self,
        take: &mut dyn FnMut(&str, Value) -> Result<(), &'static str>,
    ) -> Result<(), Failure> {
        self.expect(b'{', "it is not an object")?;
        if self.skip_blanks()? == Some(b'}') {
            self.next = None;
            return Ok(());
        }
        loop {
            self.expect(b'"', "a field has no name")?;
            let name = self.text()?;
            self.expect(b':', "a field has no value")?;
            let value = self.value()?;
            take(&name, value).map_err(Failure::Malformed)?;
            self.skip_blanks()?;
            match self.take()? {
                Some(b',') => {}
                Some(b'}') => return Ok(()),
                _ => return Err(Failure::Malformed("it does not end")),
            }
        }
    }

    fn value(&mut self) -> Result<Value, Failure> {
        match self.skip_blanks()? {
            Some(b'"') => {
                self.next = None;
                self.text().map(Value::Text)
            }
            Some(b'0'..=b'9') => self.number(),
            Some(b't') => self.word(b"true", Value::Word),
            Some(b'f') => self.word(b"false", Value::Word),
            Some(b'n') => self.word(b"null", Value::Word),
            _ => Err(Failure::Malformed(
                "a value is neither a number, a text nor a flag",
            )),
        }
    }

    fn word(&mut self, word: &[u8], value: Value) -> Result<Value, Failure> {
        for &expected in word {
            if self.take()? != Some(expected) {
                return Err(Failure::Malformed(
                    "a value is neither true, false nor null",
                ));
            }
        }
        Ok(value)
    }

    fn number(&mut self) -> Result<Value, Failure> {
        let mut number = 0_u64;
        while let Some(digit @ b'0'..=b'9') = self.peek()? {
            self.next = None;
            let longer = number.checked_mul(10);
            let longer = longer.and_then(|n| n.checked_add(u64::from(digit - b'0')));
            number = longer.ok_or(Failure::Malformed("a number has more than 64 bits"))?;
        }
        match self.peek()? {
            Some(b'.' | b'e' | b'E') => Err(Failure::Malformed("a number is not whole")),
            _ => Ok(Value::Number(number)),
        }
    }

    /// The text behind its first quotation mark.
    fn text(&mut self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        loop {
            let byte = match self.take()? {
                Some(b'"') => return Ok(String::from_utf8_lossy(&bytes).into_owned()),
                // What is escaped is no part of any word that we know: what it stands for does not
                // matter, but that a quotation mark behind it does not end the text.
                Some(b'\\') => self.take()?.map_or(b'?', |_| b'\\'),
                Some(byte) => byte,
                None => return Err(Failure::Malformed("a text does not end")),
            };
            if bytes.len() < TEXT_LEN_LIMIT {
                bytes.push(byte);
            }
        }
    }

    fn expect(&mut self, byte: u8, otherwise: &'static str) -> Result<(), Failure> {
        if self.skip_blanks()? != Some(byte) {
            return Err(Failure::Malformed(otherwise));
        }
        self.next = None;
        Ok(())
    }

    fn expect_end(&mut self) -> Result<(), Failure> {
        match self.skip_blanks()? {
            None => Ok(()),
            Some(_) => Err(Failure::Malformed("something follows behind the list")),
        }
    }

    /// The next byte that is not blank, still to be taken.
    fn skip_blanks(&mut self) -> Result<Option<u8>, Failure> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.peek()? {
            self.next = None;
        }
        self.peek()
    }

    fn peek(&mut self) -> Result<Option<u8>, Failure> {
        if self.next.is_none() {
            self.left = self
                .left
                .checked_sub(1)
                .ok_or(Failure::Malformed("it is longer than 65536 bytes"))?;
            self.next = self.bytes.next().transpose()?;
        }
        Ok(self.next)
    }

    fn take(&mut self) -> Result<Option<u8>, Failure> {
        let byte = self.peek()?;
        self.next = None;
        Ok(byte)
    }
}
