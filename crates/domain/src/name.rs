//! Promises that a name confirms a hit and never makes one: names are compared, never indexed, and
//! never shown by `Debug`.

use std::fmt;

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::text::{half_width, is_variation_selector};

#[cfg(test)]
mod tests;

/// The name of a person or organisation, as written.
///
/// 1 to 100 characters, any that GB 18030 has; the fields of the courts' rows hold at least 50.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Name(Box<str>);

/// Why a text is no name. Never contains the text.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NameError {
    /// Nothing visible in it.
    #[error("name: is empty; give the name as on the document")]
    Empty,
    /// Too long.
    #[error("name: has {found} characters, expected at most 100")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// A character that is none of a name's and would distort where it is shown.
    #[error("name: character {position} is a control, line-breaking or direction-changing character; remove it")]
    ControlCharacter {
        /// Counted from 1.
        position: usize,
    },
}

impl NameError {
    /// Stable snake_case code for machines.
    pub fn code(self) -> &'static str {
        match self {
            NameError::Empty => "empty",
            NameError::TooLong { .. } => "too_long",
            NameError::ControlCharacter { .. } => "control_character",
        }
    }
}

impl Name {
    /// The most characters of a name.
    pub const MAX_CHARS: usize = 100;

    /// Checks `text` and keeps it as it is.
    ///
    /// # Errors
    ///
    /// The first reason why it is no name.
    pub fn parse(text: &str) -> Result<Name, NameError> {
        let found = text.chars().count();
        if found > Name::MAX_CHARS {
            return Err(NameError::TooLong { found });
        }
        if let Some(index) = text.chars().position(distorts) {
            return Err(NameError::ControlCharacter { position: index + 1 });
        }
        // Two names of variation selectors alone would otherwise confirm each other.
        if folded(text).all(char::is_whitespace) {
            return Err(NameError::Empty);
        }
        Ok(Name(text.into()))
    }

    /// As written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// True when both are the same name once dots, width and glyph variants are folded. Traditional
    /// and simplified characters, and capital and small letters, stay different.
    pub fn confirms(&self, other: &Name) -> bool {
        fold(&self.0) == fold(&other.0)
    }
}

/// The form that is compared. The dots between the parts of a name come in eight code points, one
/// of them (U+FF0E) also a full-width form, so dots go first.
fn fold(name: &str) -> String {
    folded(name).collect::<String>().trim().to_owned()
}

fn folded(name: &str) -> impl Iterator<Item = char> + '_ {
    name.chars().filter(|&c| !is_variation_selector(c)).map(|c| half_width(fold_dot(c)))
}

fn fold_dot(c: char) -> char {
    let is_dot = matches!(c, '\u{2022}' | '\u{2027}' | '\u{2219}' | '\u{22C5}' | '\u{30FB}' | '\u{FF65}' | '\u{FF0E}');
    if is_dot { '\u{B7}' } else { c }
}

/// Control characters, line and paragraph separators, and bidirectional embeddings, overrides and
/// isolates: a name with one of these shows as something else in a table, a log or a slip.
fn distorts(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Name(…)")
    }
}

impl<C> Encode<C> for Name {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C> Decode<'b, C> for Name {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Name, decode::Error> {
        // Not parsed again: a rule that becomes stricter must not make an old record unreadable.
        Ok(Name(d.str()?.into()))
    }
}
