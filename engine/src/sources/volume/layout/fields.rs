//! Numbers and texts at fixed places of a sector; nothing where the bytes end too early.

/// Bytes `at..at + N`.
pub(crate) fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_le_bytes)
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_le_bytes)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    array(bytes, at).map(u64::from_le_bytes)
}

/// A number whose halves lie apart.
pub(crate) fn halves_at(bytes: &[u8], low: usize, high: usize) -> Option<u64> {
    let (low, high) = (u32_at(bytes, low)?, u32_at(bytes, high)?);
    Some(u64::from(high) << 32 | u64::from(low))
}

/// XFS writes the high byte first.
pub(crate) fn u16_high_first(bytes: &[u8], at: usize) -> Option<u16> {
    array(bytes, at).map(u16::from_be_bytes)
}

/// XFS and LUKS write the high byte first.
pub(crate) fn u32_high_first(bytes: &[u8], at: usize) -> Option<u32> {
    array(bytes, at).map(u32::from_be_bytes)
}

/// XFS and LUKS write the high byte first.
pub(crate) fn u64_high_first(bytes: &[u8], at: usize) -> Option<u64> {
    let (high, low) = (u32_high_first(bytes, at)?, u32_high_first(bytes, at + 4)?);
    Some(u64::from(high) << 32 | u64::from(low))
}

pub(crate) fn has(bytes: &[u8], at: usize, magic: &[u8]) -> bool {
    bytes.get(at..at + magic.len()) == Some(magic)
}

/// Text of at most `len` bytes up to a zero byte, without spaces at its end; nothing if empty.
pub(super) fn text_at(bytes: &[u8], at: usize, len: usize) -> Option<String> {
    let field = bytes.get(at..at.checked_add(len)?)?;
    let end = field
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(field.len());
    let text = String::from_utf8_lossy(&field[..end]).trim_end().to_owned();
    (!text.is_empty()).then_some(text)
}

/// UTF-16 up to a zero; what is no text becomes a replacement character.
pub(super) fn utf16_text(bytes: &[u8]) -> String {
    let units = bytes.chunks_exact(2).filter_map(|pair| u16_at(pair, 0));
    let units = units.take_while(|unit| *unit != 0);
    char::decode_utf16(units)
        .map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}
