//! Promises one folding of character width for everything that is compared: numbers, names and case
//! numbers.
//!
//! Rows typed on a Chinese input method carry full-width digits, letters, brackets and spaces; the
//! same value in half width must be the same value.

/// The half-width form of a full-width ASCII character (U+FF01–FF5E) or the ideographic space
/// (U+3000); any other character as it is.
pub fn half_width(c: char) -> char {
    if c == '\u{3000}' {
        return ' ';
    }
    if ('\u{FF01}'..='\u{FF5E}').contains(&c) {
        // The block mirrors ASCII 0x21–0x7E at a fixed distance; inside the range the subtraction
        // stays in ASCII.
        return char::from_u32(u32::from(c) - 0xFEE0).unwrap_or(c);
    }
    c
}

/// `text` in half width, without surrounding white space.
pub fn half_width_trimmed(text: &str) -> String {
    // Far more often than not there is nothing to fold.
    if text.chars().all(|c| half_width(c) == c) {
        return text.trim().to_owned();
    }
    let folded: String = text.chars().map(half_width).collect();
    folded.trim().to_owned()
}

/// True for the characters that choose a glyph variant and carry no meaning of their own
/// (Unicode property `Variation_Selector`).
pub fn is_variation_selector(c: char) -> bool {
    matches!(c, '\u{FE00}'..='\u{FE0F}' | '\u{E0100}'..='\u{E01EF}' | '\u{180B}'..='\u{180D}' | '\u{180F}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_width_and_nothing_else() {
        for (given, expected) in [
            ("１１０１０１ｘＸ", "110101xX"),
            ("\u{3000}（2023）粤\u{3000}", "(2023)粤"),
            ("～！", "~!"),
            ("張三·ﾔ", "張三·ﾔ"),
            ("", ""),
        ] {
            assert_eq!(half_width_trimmed(given), expected);
        }
    }
}
