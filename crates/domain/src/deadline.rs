//! The law's clocks: by which day an act is in time.
//!
//! How days are counted (DOMAIN: 法释〔2017〕7号; 民事诉讼法 on periods; the plan, section 四(二)):
//!
//! - The day on which the clock starts is not counted: three days from the 1st end with the 4th.
//! - A clock starts with *recorded* service or receipt. Without it there is no clock.
//! - A day ends at 24:00 in Asia/Shanghai.
//! - Working days are those of the [`Calendar`]: Monday to Friday, but for the days that the State Council's yearly notice moves.
//! - The last day of a *party's* period that is no working day is followed by the next working day. A period that binds a
//!   court or a unit is never lengthened so: whoever has to lift doesn't wait for the holiday to end.
//!
//! Promise: pure functions of profile and calendar; the same input gives the same day for ever.

mod calendar;
mod parse;
#[cfg(test)]
mod tests;

use std::sync::{Arc, LazyLock};

use minicbor::{Decode, Encode};

use crate::fault::Faults;
use crate::time::Day;

pub use calendar::Calendar;

/// The shipped profiles, as a file.
pub const SHIPPED_PROFILES: &str = include_str!("../profiles.toml");

/// The shipped calendar, as a file.
pub const SHIPPED_CALENDAR: &str = include_str!("../calendars/cn.toml");

/// What must be done in time. The numbers are on disk for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum Clock {
    /// The court decides a creditor's application.
    #[n(1)]
    DecideApplication = 1,
    /// A party objects, from service of the decision.
    #[n(2)]
    Object = 2,
    /// The court reviews an objection, from its receipt.
    #[n(3)]
    Review = 3,
    /// A party asks the court above, from service of the dismissal.
    #[n(4)]
    AskReconsideration = 4,
    /// The court above decides, from receipt.
    #[n(5)]
    DecideReconsideration = 5,
    /// The court gives the reason that a lift owes.
    #[n(6)]
    GiveReason = 6,
    /// A client lifts what it imposed, after a lift.
    #[n(7)]
    LiftMeasures = 7,
    /// A client answers a complaint against it.
    #[n(8)]
    AnswerComplaint = 8,
    /// The own unit handles the notice of an entry that only it may be shown.
    #[n(9)]
    HandleNotice = 9,
    /// A proposal is released, or lapses.
    #[n(10)]
    Release = 10,
    /// The court hides or removes, after performance was reported.
    #[n(11)]
    Remove = 11,
}

/// Whom a clock binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bearer {
    /// Whoever objects or asks. Its clock only says what is late.
    Party,
    /// The listing's court.
    Court,
    /// The court above it.
    CourtAbove,
    /// A client.
    Client,
}

impl Clock {
    /// Every clock.
    pub const ALL: [Clock; 11] = [
        Clock::DecideApplication,
        Clock::Object,
        Clock::Review,
        Clock::AskReconsideration,
        Clock::DecideReconsideration,
        Clock::GiveReason,
        Clock::LiftMeasures,
        Clock::AnswerComplaint,
        Clock::HandleNotice,
        Clock::Release,
        Clock::Remove,
    ];

    /// The name used from the profile file to the command line.
    pub fn code(self) -> &'static str {
        match self {
            Clock::DecideApplication => "decide_application",
            Clock::Object => "object",
            Clock::Review => "review",
            Clock::AskReconsideration => "ask_reconsideration",
            Clock::DecideReconsideration => "decide_reconsideration",
            Clock::GiveReason => "give_reason",
            Clock::LiftMeasures => "lift_measures",
            Clock::AnswerComplaint => "answer_complaint",
            Clock::HandleNotice => "handle_notice",
            Clock::Release => "release",
            Clock::Remove => "remove",
        }
    }

    /// The clock of a name.
    pub fn from_code(code: &str) -> Option<Clock> {
        Clock::ALL.into_iter().find(|clock| clock.code() == code)
    }

    /// Whom it binds.
    pub fn bearer(self) -> Bearer {
        match self {
            Clock::Object | Clock::AskReconsideration => Bearer::Party,
            Clock::DecideApplication | Clock::Review | Clock::GiveReason | Clock::Release | Clock::Remove => {
                Bearer::Court
            }
            Clock::DecideReconsideration => Bearer::CourtAbove,
            Clock::LiftMeasures | Clock::AnswerComplaint | Clock::HandleNotice => Bearer::Client,
        }
    }
}

/// How long a clock runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// Nobody is bound.
    Unlimited,
    /// Calendar days.
    Days(u32),
    /// Working days.
    WorkingDays(u32),
}

/// The deadlines and bounds that a court goes by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// Its name, such as `leizhou`.
    pub name: String,
    /// By [`Clock::ALL`].
    periods: [Period; Clock::ALL.len()],
    /// Longest exemption, in days.
    pub exemption_max_days: u32,
    /// Grounds on which an exemption is given.
    pub exemption_grounds: Vec<String>,
    /// Longest deferral of a subject's view, in days.
    pub deferral_max_days: u32,
    /// Longest period of grace, in days.
    pub grace_max_days: u32,
    /// How long the end of a listing is announced, in days.
    pub announce_days: u32,
    /// For so many months after a removal that the creditor asked for, no application lists that case again.
    pub relist_after_months: u32,
}

impl Profile {
    /// How long a clock runs.
    pub fn period(&self, clock: Clock) -> Period {
        self.periods[clock as usize - 1]
    }
}

/// All profiles of a file.
#[derive(Clone, Debug)]
pub struct Profiles(Vec<Arc<Profile>>);

impl Profiles {
    /// The profiles as shipped: `spc-2017`, the statute, and `leizhou`, the plan.
    pub fn shipped() -> &'static Profiles {
        static SHIPPED: LazyLock<Profiles> = LazyLock::new(|| {
            Profiles::parse("profiles.toml", SHIPPED_PROFILES)
                .unwrap_or_else(|faults| panic!("the shipped profiles: {faults}"))
        });
        &SHIPPED
    }

    /// Reads and checks a file of profiles.
    ///
    /// # Errors
    /// Every fault at once, each with line, key path and fix.
    pub fn parse(file: &'static str, text: &str) -> Result<Profiles, Faults> {
        parse::profiles(file, text)
    }

    /// The profile of a name.
    pub fn profile(&self, name: &str) -> Option<&Arc<Profile>> {
        self.0.iter().find(|profile| profile.name == name)
    }

    /// Every name.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|profile| profile.name.as_str())
    }
}

/// A profile with the calendar that its working days are counted by.
#[derive(Clone, Debug)]
pub struct Deadlines {
    profile: Arc<Profile>,
    calendar: Arc<Calendar>,
}

impl Deadlines {
    /// A profile, counted by a calendar.
    pub fn new(profile: Arc<Profile>, calendar: Arc<Calendar>) -> Deadlines {
        Deadlines { profile, calendar }
    }

    /// The statute and the calendar as shipped.
    pub fn shipped() -> Deadlines {
        let profile = Profiles::shipped().profile("spc-2017").map(Arc::clone);
        Deadlines::new(profile.expect("the shipped file has it"), Calendar::shipped())
    }

    /// The profile.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// The calendar.
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// The last day on which the act is in time, for a clock that starts on `from`; `None`: it is never late.
    pub fn due(&self, clock: Clock, from: Day) -> Option<Day> {
        let last = match self.profile.period(clock) {
            Period::Unlimited => return None,
            Period::Days(days) => from.plus_days(days),
            Period::WorkingDays(days) => self.calendar.plus_working_days(from, days),
        };
        Some(match clock.bearer() {
            Bearer::Party => self.calendar.working_day_from(last),
            Bearer::Court | Bearer::CourtAbove | Bearer::Client => last,
        })
    }
}
