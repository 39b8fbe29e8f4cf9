//! Names for a terminal: whoever chose a name must not be able to move its cursor, to break a
//! line, or to make one name look like another.

use std::fmt::Write;

/// A path or name: unprintable characters, bytes that are no text, and backslashes are escaped,
/// so that different bytes always look different.
pub(crate) fn path(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for part in bytes.utf8_chunks() {
        for character in part.valid().chars() {
            match character {
                '\\' => text.push_str(r"\\"),
                other => push(&mut text, other),
            }
        }
        for byte in part.invalid() {
            append(&mut text, format_args!(r"\x{byte:02x}"));
        }
    }
    text
}

/// A sentence that holds names: it stays one line.
pub(crate) fn line(sentence: &str) -> String {
    let mut text = String::with_capacity(sentence.len());
    sentence
        .chars()
        .for_each(|character| push(&mut text, character));
    text
}

fn push(text: &mut String, character: char) {
    match character {
        '\n' => text.push_str(r"\n"),
        '\t' => text.push_str(r"\t"),
        '\r' => text.push_str(r"\r"),
        ascii if ascii.is_ascii_control() => append(text, format_args!(r"\x{:02x}", ascii as u8)),
        hidden if is_hidden(hidden) => append(text, format_args!(r"\u{{{:x}}}", hidden as u32)),
        visible => text.push(visible),
    }
}

fn append(text: &mut String, what: std::fmt::Arguments<'_>) {
    // A string takes everything.
    let _ = text.write_fmt(what);
}

/// Controls beyond ASCII, line separators, and what changes the direction of writing.
fn is_hidden(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_steers_a_terminal_passes() {
        assert_eq!(path(b"a\x1b[2Jb\r\n\t\x7f"), r"a\x1b[2Jb\r\n\t\x7f");
        assert_eq!(
            path("\u{202e}txt\u{2028}\u{85}".as_bytes()),
            r"\u{202e}txt\u{2028}\u{85}"
        );
        assert_eq!(line("a: b\nc"), r"a: b\nc");
    }

    #[test]
    fn different_bytes_never_look_the_same() {
        assert_eq!(path(b"\xff\xc3"), r"\xff\xc3");
        assert_eq!(path(br"\xff"), r"\\xff");
        assert_ne!(path(b"\n"), path(br"\n"));
    }

    #[test]
    fn ordinary_names_stay_as_they_are() {
        let name = "Grüße, 世界 (1).txt";
        assert_eq!(path(name.as_bytes()), name);
    }
}
