//! Names as bytes, where a file system has them as something else.

/// UTF-16 with its low byte first as UTF-8. A half of a pair that stands alone becomes three bytes
/// that are no UTF-8 (WTF-8), so that different names stay different.
pub(super) fn of_utf16(bytes: &[u8]) -> Vec<u8> {
    let (pairs, _) = bytes.as_chunks::<2>();
    let units = pairs.iter().map(|pair| u16::from_le_bytes(*pair));
    let mut name = Vec::with_capacity(bytes.len());
    for unit in char::decode_utf16(units) {
        match unit {
            Ok(character) => {
                let mut buffer = [0; 4];
                name.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
            }
            Err(alone) => {
                let unit = alone.unpaired_surrogate();
                let six = |shift: u16| (unit >> shift & 0x3f) as u8 | 0x80;
                name.extend_from_slice(&[(unit >> 12) as u8 | 0xe0, six(6), six(0)]);
            }
        }
    }
    name
}

/// The upper half of the code page that short names of FAT are in, unless somebody chose another.
const CODE_PAGE_437: &str = "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟\
                             ╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u{a0}";

/// A byte of code page 437.
pub(super) fn of_code_page_437(byte: u8) -> char {
    match byte.checked_sub(128) {
        None => char::from(byte),
        Some(upper) => CODE_PAGE_437
            .chars()
            .nth(upper.into())
            .unwrap_or(char::REPLACEMENT_CHARACTER),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16(units: &[u16]) -> Vec<u8> {
        units.iter().flat_map(|unit| unit.to_le_bytes()).collect()
    }

    #[test]
    fn names_in_utf16_are_utf8_and_halves_of_pairs_stay_apart() {
        let text: Vec<u16> = "aä€𝄞".encode_utf16().collect();
        assert_eq!(of_utf16(&utf16(&text)), "aä€𝄞".as_bytes());
        assert_eq!(of_utf16(&utf16(&[0xd800])), [0xed, 0xa0, 0x80]);
        assert_eq!(of_utf16(&utf16(&[0xdfff, 0x61])), [0xed, 0xbf, 0xbf, 0x61]);
        assert_eq!(of_utf16(b"a\0b"), b"a");
    }

    #[test]
    fn the_code_page_has_a_character_for_every_byte() {
        assert_eq!(CODE_PAGE_437.chars().count(), 128);
        assert_eq!(of_code_page_437(b'A'), 'A');
        assert_eq!(of_code_page_437(0x81), 'ü');
        assert_eq!(of_code_page_437(0xe1), 'ß');
        assert_eq!(of_code_page_437(0xff), '\u{a0}');
    }
}
