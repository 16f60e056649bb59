//! Promises one spelling for each case number (案号): half width, with ASCII brackets.
//!
//! The form since 2016 is set by 法〔2015〕137号: year, court code, type, serial, `号`, as in
//! (2023)粤0882执1234号. Numbers from before have a free form, as in (2013)穗中法执字第12号: they are kept as
//! they are, and flagged.

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

use crate::text::half_width_trimmed;

#[cfg(test)]
mod tests;

/// A court's number for one enforcement case.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct CaseNumber {
    text: Box<str>,
    flagged: bool,
}

/// Why a text is no case number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CaseNumberError {
    /// Too long for any form.
    #[error("case_number: has {found} characters, expected at most 60")]
    TooLong {
        /// Characters found.
        found: usize,
    },
    /// Does not start with a year in brackets.
    #[error("case_number: does not start with a year in brackets, such as (2023)")]
    Year,
    /// Not the form since 2016.
    #[error(
        "case_number: expected court code, type of 1 to 3 characters, serial without leading zero, and 号, such as (2023)粤0882执1234号"
    )]
    Form,
    /// Not even the loose form from before 2016.
    #[error("case_number: expected characters and digits with 号 after the year, such as (2013)穗中法执字第12号")]
    OldForm,
}

impl CaseNumberError {
    /// Stable snake_case code for machines.
    pub fn code(self) -> &'static str {
        match self {
            CaseNumberError::TooLong { .. } => "too_long",
            CaseNumberError::Year => "year",
            CaseNumberError::Form => "form",
            CaseNumberError::OldForm => "old_form",
        }
    }
}

/// The most characters of a case number of either form.
const MAX_CHARS: usize = 60;
/// From this year on, only the standard form exists (法〔2015〕137号, in force from 2016-01-01).
const FIRST_STANDARD_YEAR: u16 = 2016;

impl CaseNumber {
    /// Folds full width to half width (brackets included), trims, and checks the form.
    ///
    /// # Errors
    ///
    /// What the text lacks. A number of 2016 or later that is not of the standard form is refused;
    /// an older one is flagged.
    pub fn parse(text: &str) -> Result<CaseNumber, CaseNumberError> {
        let text = half_width_trimmed(text);
        let found = text.chars().count();
        if found > MAX_CHARS {
            return Err(CaseNumberError::TooLong { found });
        }
        let (year, rest) = split_year(&text).ok_or(CaseNumberError::Year)?;
        let flagged = if is_standard_form(rest) {
            false
        } else if year >= FIRST_STANDARD_YEAR {
            return Err(CaseNumberError::Form);
        } else if is_old_form(rest) {
            true
        } else {
            return Err(CaseNumberError::OldForm);
        };
        Ok(CaseNumber { text: text.into(), flagged })
    }

    /// The number with ASCII brackets.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True for the free forms from before 2016, which can't be checked.
    pub fn is_flagged(&self) -> bool {
        self.flagged
    }
}

impl std::fmt::Display for CaseNumber {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

/// `(yyyy)` of the 20th or 21st century, and what follows.
fn split_year(text: &str) -> Option<(u16, &str)> {
    let (year, rest) = text.strip_prefix('(')?.split_once(')')?;
    let is_year = year.len() == 4
        && (year.starts_with("19") || year.starts_with("20"))
        && year.bytes().all(|c| c.is_ascii_digit());
    is_year.then(|| year.parse().ok().map(|year| (year, rest)))?
}

/// Court code, type, serial and `号`.
fn is_standard_form(rest: &str) -> bool {
    let Some(rest) = rest.strip_suffix('号') else {
        return false;
    };
    let serial_from = rest
        .rfind(|c: char| !c.is_ascii_digit())
        .map_or(0, |at| at + rest[at..].chars().next().map_or(0, char::len_utf8));
    let (court_and_type, serial) = rest.split_at(serial_from);
    if !(1..=8).contains(&serial.len()) || serial.starts_with('0') {
        return false;
    }
    types_after_court(court_and_type)
        .any(|case_type| (1..=3).contains(&case_type.chars().count()) && case_type.chars().all(is_han))
}

/// Each reading of what follows the court code: the Supreme People's Court's divisions 知 and 商
/// could be part of the type.
fn types_after_court(text: &str) -> impl Iterator<Item = &str> {
    const PROVINCES: &str = "京津冀晋内辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新军兵";
    let supreme = text.strip_prefix("最高法");
    let division = supreme.and_then(|rest| rest.strip_prefix(['知', '商']));
    let province = text.strip_prefix(|c: char| PROVINCES.contains(c)).map(|rest| {
        let after = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        (rest.len() - after.len(), after)
    });
    // A province alone, or with 2 to 4 digits of court.
    let local = province.filter(|(digits, _)| matches!(digits, 0 | 2..=4)).map(|(_, after)| after);
    [supreme, division, local].into_iter().flatten()
}

/// Anything that a court clerk could have written before 2016: Han characters, digits, hyphens,
/// with `号`.
fn is_old_form(rest: &str) -> bool {
    let known = |c: char| is_han(c) || c.is_ascii_digit() || matches!(c, '-' | '〇' | '、');
    rest.starts_with(|c| is_han(c) && c != '号') && rest.contains('号') && rest.chars().all(known)
}

fn is_han(c: char) -> bool {
    ('\u{4E00}'..='\u{9FFF}').contains(&c)
}

/// `[text, flagged]`. Decoding does not parse again: a rule that becomes stricter must not make an
/// old record unreadable.
impl<C> Encode<C> for CaseNumber {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, ctx: &mut C) -> Result<(), encode::Error<W::Error>> {
        (&*self.text, self.flagged).encode(e, ctx)
    }
}

impl<'b, C> Decode<'b, C> for CaseNumber {
    fn decode(d: &mut Decoder<'b>, ctx: &mut C) -> Result<CaseNumber, decode::Error> {
        let (text, flagged) = <(&str, bool)>::decode(d, ctx)?;
        Ok(CaseNumber { text: text.into(), flagged })
    }
}
