//! Working days.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::parse;
use crate::fault::Faults;
use crate::time::Day;

/// Which days are working days: Monday to Friday, but for what each year's notice moves.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Calendar {
    /// Days that differ from Monday to Friday: whether they are worked.
    pub(super) moved: BTreeMap<Day, bool>,
    /// First and last year with a notice.
    pub(super) years: Option<(i16, i16)>,
}

impl std::fmt::Debug for Calendar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Calendar").field("years", &self.years).finish_non_exhaustive()
    }
}

impl Calendar {
    /// The calendar as shipped: 2004 to 2026.
    pub fn shipped() -> Arc<Calendar> {
        static SHIPPED: LazyLock<Arc<Calendar>> = LazyLock::new(|| {
            Arc::new(
                Calendar::parse("cn.toml", super::SHIPPED_CALENDAR)
                    .unwrap_or_else(|faults| panic!("the shipped calendar: {faults}")),
            )
        });
        Arc::clone(&SHIPPED)
    }

    /// Reads and checks a calendar file.
    ///
    /// # Errors
    /// Every fault at once, each with line, key path and fix.
    pub fn parse(file: &'static str, text: &str) -> Result<Calendar, Faults> {
        parse::calendar(file, text)
    }

    /// Whether the day is worked.
    pub fn is_working(&self, day: Day) -> bool {
        self.moved.get(&day).copied().unwrap_or_else(|| is_weekday(day))
    }

    /// Whether a notice of the day's year is in the calendar; without it Monday to Friday count.
    pub fn covers(&self, day: Day) -> bool {
        self.years.is_some_and(|(first, last)| (first..=last).contains(&day.date().year()))
    }

    /// The `count`th working day after a day.
    pub fn plus_working_days(&self, from: Day, count: u32) -> Day {
        let mut day = from;
        for _ in 0..count {
            day = self.working_day_from(day.plus_days(1));
        }
        day
    }

    /// The day itself if it is worked, or else the next that is.
    pub fn working_day_from(&self, from: Day) -> Day {
        let mut day = from;
        while !self.is_working(day) && day < Day::LAST {
            day = day.plus_days(1);
        }
        day
    }
}

/// Monday to Friday. 1970-01-01 was a Thursday.
pub(super) fn is_weekday(day: Day) -> bool {
    (day.0 + 3) % 7 < 5
}
