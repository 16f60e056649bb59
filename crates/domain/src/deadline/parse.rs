//! From the texts of `profiles.toml` and of a calendar to what is checked.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::calendar::is_weekday;
use super::{Calendar, Clock, Period, Profile, Profiles};
use crate::fault::{Faults, choose};
use crate::listing::MAX_GRACE_DAYS;
use crate::policy::read::{Reader, Section, one_of};
use crate::time::Day;

/// The only format there is.
const FORMAT: u64 = 1;
/// No act takes longer.
const MAX_DAYS: u64 = 366;

pub(super) fn profiles(file: &'static str, text: &str) -> Result<Profiles, Faults> {
    whole(Reader::new(file, text), |root| {
        root.required_count("format", FORMAT..=FORMAT, "write format = 1");
        let mut profiles: Vec<Arc<Profile>> = Vec::new();
        if let Some(section) = root.section("profile") {
            for (name, section) in section.tables() {
                if let Some(profile) = profile(&name, section, &profiles) {
                    profiles.push(Arc::new(profile));
                }
            }
        } else {
            root.missing("profile", "write at least one [profile.NAME]");
        }
        root.finish();
        Some(Profiles(profiles))
    })
}

pub(super) fn calendar(file: &'static str, text: &str) -> Result<Calendar, Faults> {
    whole(Reader::new(file, text), |root| {
        root.required_count("format", FORMAT..=FORMAT, "write format = 1");
        let mut calendar = Calendar::default();
        for (year, section) in root.section("year").map(Section::tables).unwrap_or_default() {
            year_of(&year, section, &mut calendar);
        }
        root.finish();
        Some(calendar)
    })
}

fn whole<T>(reader: Reader, read: impl FnOnce(Section) -> Option<T>) -> Result<T, Faults> {
    let document = reader.document();
    // Half a document would bring faults that aren't there.
    let found = if reader.is_sound() { read(Section::root(&reader, &document)) } else { None };
    drop(document);
    let faults = reader.finish();
    match found {
        Some(found) => faults.or(found),
        None => Err(faults.or(()).err().unwrap_or_default()),
    }
}

fn year_of(name: &str, section: Section, calendar: &mut Calendar) {
    let year = name.parse::<i16>().ok().filter(|year| (1970..=2261).contains(year));
    if year.is_none() {
        section.fault("is no year", "write [year.2027]");
    }
    let mut moved = BTreeMap::new();
    for (key, worked) in [("holidays", false), ("workdays", true)] {
        for at in section.days(key) {
            let day: Day = at.value;
            if Some(day.date().year()) != year {
                at.fault(
                    section.reader,
                    "lies in another year",
                    format!("move it to its own year, or out of [year.{name}]"),
                );
            } else if is_weekday(day) == worked {
                let fix =
                    if worked { "list Saturdays and Sundays that are worked" } else { "list weekdays that are not" };
                at.fault(section.reader, "differs from no Monday to Friday", fix);
            } else if moved.insert(day, worked).is_some() {
                at.fault(section.reader, "stands twice", "keep one");
            }
        }
    }
    calendar.moved.append(&mut moved);
    if let Some(year) = year {
        let (first, last) = calendar.years.unwrap_or((year, year));
        calendar.years = Some((first.min(year), last.max(year)));
    }
    section.finish();
}

fn profile(name: &str, section: Section, earlier: &[Arc<Profile>]) -> Option<Profile> {
    let base = section.text("inherits").and_then(|at| {
        let found = earlier.iter().find(|profile| profile.name == at.value);
        if found.is_none() {
            let fix = choose(at.value, earlier.iter().map(|profile| profile.name.as_str()));
            at.fault(section.reader, format!("profile `{}` does not stand above this one", at.value), fix);
        }
        found
    });
    let inherits = section.has("inherits");
    let mut periods = base.map_or([Period::Unlimited; Clock::ALL.len()], |base| base.periods);
    for clock in Clock::ALL {
        if section.has(clock.code()) {
            if let Some(period) = period(&section, clock.code()) {
                periods[clock as usize - 1] = period;
            }
        } else if !inherits {
            section.missing(clock.code(), "write { days = 15, unit = \"calendar\" }, or \"none\"");
        }
    }
    let count = |key: &'static str, max: u64, of: fn(&Profile) -> u32| -> u32 {
        if !section.has(key) && !inherits {
            section.missing(key, format!("write a number from 1 to {max}"));
        }
        let own = section.count(key, 1..=max).and_then(|count| u32::try_from(count).ok());
        own.or_else(|| base.map(|base| of(base))).unwrap_or(1)
    };
    let exemption_max_days = count("exemption_max_days", MAX_DAYS, |base| base.exemption_max_days);
    let deferral_max_days = count("deferral_max_days", 30, |base| base.deferral_max_days);
    let grace_max_days = count("grace_max_days", u64::from(MAX_GRACE_DAYS), |base| base.grace_max_days);
    let announce_days = count("announce_days", MAX_DAYS, |base| base.announce_days);
    let relist_after_months = count("relist_after_months", 120, |base| base.relist_after_months);
    let own: Vec<String> = section.texts("exemption_grounds").iter().map(|at| at.value.to_owned()).collect();
    if own.is_empty() && !inherits {
        section.missing("exemption_grounds", "write a list such as [\"illness\", \"funeral\"]");
    }
    let exemption_grounds = match base {
        Some(base) if own.is_empty() => base.exemption_grounds.clone(),
        Some(_) | None => own,
    };
    section.finish();
    Some(Profile {
        name: name.to_owned(),
        periods,
        exemption_max_days,
        exemption_grounds,
        deferral_max_days,
        grace_max_days,
        announce_days,
        relist_after_months,
    })
}

/// `"none"`, or `{ days = 3, unit = "working" }`.
fn period(section: &Section, key: &'static str) -> Option<Period> {
    if section.is_text(key) {
        let at = section.text(key)?;
        one_of(section.reader, &at, &[Period::Unlimited], |_| "none")
    } else {
        let inner = section.section(key)?;
        let days = inner.required_count("days", 1..=MAX_DAYS, "write how many days it is");
        let units = [Period::Days(0), Period::WorkingDays(0)];
        let unit = inner.required_text("unit", "write \"calendar\" or \"working\"");
        let unit = unit.and_then(|at| one_of(inner.reader, &at, &units, unit_name));
        inner.finish();
        let days = u32::try_from(days?).ok()?;
        Some(match unit? {
            Period::Days(_) | Period::Unlimited => Period::Days(days),
            Period::WorkingDays(_) => Period::WorkingDays(days),
        })
    }
}

fn unit_name(period: Period) -> &'static str {
    match period {
        Period::Unlimited => "none",
        Period::Days(_) => "calendar",
        Period::WorkingDays(_) => "working",
    }
}
