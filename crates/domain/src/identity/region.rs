//! Promises to know the province-level regions of GB/T 2260, and nothing finer: county tables are
//! never complete, and an unknown region is only ever a warning.

/// True when the first two digits of a region code are a province, autonomous region, municipality,
/// Taiwan, Hong Kong or Macau (GB/T 2260), or 83, which residence permits of Taiwan residents
/// carry.
pub(super) fn is_known_province(region: &str) -> bool {
    matches!(
        region.get(..2),
        Some(
            "11" | "12" | "13" | "14" | "15" // north
            | "21" | "22" | "23" // north-east
            | "31" | "32" | "33" | "34" | "35" | "36" | "37" // east
            | "41" | "42" | "43" | "44" | "45" | "46" // centre and south
            | "50" | "51" | "52" | "53" | "54" // south-west
            | "61" | "62" | "63" | "64" | "65" // north-west
            | "71" | "81" | "82" | "83"
        )
    )
}

/// As [`is_known_province`], and 100000, which registrars of the central level write into credit
/// codes (GB 32100).
pub(super) fn is_known_registrar(region: &str) -> bool {
    region == "100000" || is_known_province(region)
}
