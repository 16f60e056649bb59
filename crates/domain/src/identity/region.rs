//! Promises to know the province-level regions of GB/T 2260, and nothing finer: county tables are
//! never complete, and an unknown region is only ever a warning.

/// True when the first two digits of a region code are a province, autonomous region, municipality,
/// Taiwan, Hong Kong or Macau (GB/T 2260), or 83, which residence permits of Taiwan residents
/// carry.
pub(super) fn is_known_province(region: &str) -> bool {
    match region.as_bytes() {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9', ..] => is_province(u32::from((tens - b'0') * 10 + (ones - b'0'))),
        _ => false,
    }
}

/// [`is_known_province`], by the number that the two digits are.
pub(super) fn is_province(number: u32) -> bool {
    matches!(
        number,
        11..=15 // north
            | 21..=23 // north-east
            | 31..=37 // east
            | 41..=46 // centre and south
            | 50..=54 // south-west
            | 61..=65 // north-west
            | 71
            | 81..=83
    )
}

/// As [`is_known_province`], and 100000, which registrars of the central level write into credit
/// codes (GB 32100).
pub(super) fn is_known_registrar(region: &str) -> bool {
    region == "100000" || is_known_province(region)
}
