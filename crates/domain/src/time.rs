//! Days and instants as the law and the hub count them.
//!
//! The rules that govern listings count calendar days in Asia/Shanghai, and days end at 24:00. Instants are milliseconds of
//! Unix time. Nothing here reads a clock: whoever needs "now" is handed it.

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use minicbor::{Decode, Encode};

/// China has kept UTC+8 without daylight saving since 1991; listings are all later.
const SHANGHAI: Offset = Offset::constant(8);

const MS_PER_DAY: i64 = 86_400_000;
const SHANGHAI_MS: i64 = 8 * 3_600_000;

/// A calendar day in Asia/Shanghai, as days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Day(#[n(0)] pub u32);

/// An instant, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Timestamp(#[n(0)] pub i64);

/// A text is not a day of the form YYYY-MM-DD, or lies outside 1970 to 2261.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a day between 1970-01-01 and 2261-12-31 written YYYY-MM-DD")]
pub struct NotADay;

impl Day {
    /// The last day that can be written: what lies beyond is a slip of the pen.
    pub const LAST: Day = Day(106_650);

    /// Parses `YYYY-MM-DD`.
    pub fn parse(text: &str) -> Result<Self, NotADay> {
        let date: Date = text.trim().parse().map_err(|_| NotADay)?;
        Self::from_date(date).ok_or(NotADay)
    }

    /// The day of a calendar date; `None` outside 1970 to 2261.
    pub fn from_date(date: Date) -> Option<Self> {
        let days = u32::try_from(
            date.to_datetime(jiff::civil::Time::midnight())
                .to_zoned(TimeZone::UTC)
                .ok()?
                .timestamp()
                .as_second()
                .div_euclid(86_400),
        )
        .ok()?;
        (days <= Self::LAST.0).then_some(Day(days))
    }

    /// The calendar date.
    pub fn date(self) -> Date {
        Offset::UTC
            .to_datetime(jiff::Timestamp::from_second(i64::from(self.0.min(Self::LAST.0)) * 86_400).unwrap_or_default())
            .date()
    }

    /// 24:00 of this day: the first instant after it.
    pub fn end(self) -> Timestamp {
        Timestamp((i64::from(self.0) + 1) * MS_PER_DAY - SHANGHAI_MS)
    }

    /// The day `days` later.
    pub fn plus_days(self, days: u32) -> Day {
        Day(self.0.saturating_add(days).min(Self::LAST.0))
    }

    /// The corresponding day `months` later, or the month's last day where it has no such day (民法典 art. 202).
    pub fn plus_months(self, months: u32) -> Day {
        let span = jiff::Span::new().try_months(i64::from(months));
        span.and_then(|span| self.date().checked_add(span)).ok().and_then(Self::from_date).unwrap_or(Self::LAST)
    }
}

impl std::fmt::Display for Day {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.date().fmt(f)
    }
}

impl Timestamp {
    /// The day of this instant in Asia/Shanghai.
    pub fn day(self) -> Day {
        Day(u32::try_from((self.0 + SHANGHAI_MS).div_euclid(MS_PER_DAY)).unwrap_or(0).min(Day::LAST.0))
    }

    /// The day of this instant in Asia/Shanghai, as a calendar date.
    pub fn date(self) -> Date {
        self.day().date()
    }

    /// RFC 3339 in Asia/Shanghai.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0)
            .map(|t| t.display_with_offset(SHANGHAI).to_string())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn days_end_at_midnight_in_shanghai() {
        let day = Day::parse("2026-03-01").unwrap();
        assert_eq!(day.end().rfc3339(), "2026-03-02T00:00:00+08:00");
        assert_eq!(day.end().day(), day.plus_days(1));
        assert_eq!(Timestamp(day.end().0 - 1).day(), day);
    }

    #[test]
    fn months_keep_the_day_or_take_the_months_last() {
        for (from, months, to) in [
            ("2026-03-01", 24, "2028-03-01"),
            ("2024-02-29", 12, "2025-02-28"),
            ("2026-01-31", 1, "2026-02-28"),
            ("2026-12-31", 2, "2027-02-28"),
        ] {
            assert_eq!(Day::parse(from).unwrap().plus_months(months).to_string(), to, "{from} + {months}");
        }
    }

    #[test]
    fn refuses_what_is_no_day() {
        for text in ["", "2026-2-30", "2026-02-30", "20260101x", "1969-12-31", "9999-01-01"] {
            assert_eq!(Day::parse(text), Err(NotADay), "{text}");
        }
        assert_eq!(Day::LAST.date(), jiff::civil::date(2261, 12, 31));
    }
}
