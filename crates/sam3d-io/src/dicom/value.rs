//! Values of elements from their bytes.

use super::DicomError;

/// Text without the padding that makes its length even.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_matches([' ', '\0', '\n', '\r', '\t']).to_owned()
}

/// The parts of a value with several.
pub(super) fn texts(bytes: &[u8]) -> Vec<String> {
    bytes.split(|byte| *byte == b'\\').map(text).collect()
}

/// Numbers in text form; `None` if one of them is not a finite number.
pub(super) fn decimals(bytes: &[u8]) -> Option<Vec<f64>> {
    bytes
        .split(|byte| *byte == b'\\')
        .map(|part| std::str::from_utf8(part).ok()?.trim_matches([' ', '\0']).parse().ok())
        .map(|number: Option<f64>| number.filter(|number| number.is_finite()))
        .collect()
}

/// `N` numbers in text form.
pub(super) fn decimal_array<const N: usize>(bytes: &[u8]) -> Option<[f64; N]> {
    decimals(bytes)?.try_into().ok()
}

/// The first number of the attribute `name`, in text form.
pub(super) fn number(name: &'static str, bytes: &[u8]) -> Result<f64, DicomError> {
    let first = decimals(bytes).and_then(|all| all.first().copied());
    first.ok_or(DicomError::AttributeInvalid { name, expected: "a number" })
}

/// The first 16-bit number.
pub(super) fn unsigned_short(bytes: &[u8], big_endian: bool) -> Option<u16> {
    let bytes = *bytes.first_chunk::<2>()?;
    Some(if big_endian { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_and_parts() {
        assert_eq!(text(b"1.2.840\0"), "1.2.840");
        assert_eq!(texts(b"ORIGINAL\\PRIMARY \\"), ["ORIGINAL", "PRIMARY", ""]);
        assert_eq!(decimal_array(b"-1.5\\ 2e1 "), Some([-1.5, 20.0]));
        assert_eq!(decimals(b"1\\nan"), None);
        assert_eq!(decimals(b"1\\"), None);
        assert_eq!((unsigned_short(b"\x01\x02", true), unsigned_short(b"\x01", false)), (Some(258), None));
    }
}
