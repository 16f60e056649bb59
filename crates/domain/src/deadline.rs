//! PLACEHOLDER so that others compile: overwrite this file whole.
#![allow(missing_docs)]
use crate::time::Day;
use minicbor::{Decode, Encode};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
#[repr(u8)]
pub enum Clock {
    #[n(1)]
    DecideApplication = 1,
    #[n(2)]
    Object = 2,
    #[n(3)]
    Review = 3,
    #[n(4)]
    AskReconsideration = 4,
    #[n(5)]
    DecideReconsideration = 5,
    #[n(6)]
    GiveReason = 6,
    #[n(7)]
    LiftMeasures = 7,
    #[n(8)]
    AnswerComplaint = 8,
    #[n(9)]
    HandleNotice = 9,
    #[n(10)]
    Release = 10,
    #[n(11)]
    Remove = 11,
}
impl Clock {
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
}
#[derive(Clone, Debug)]
pub struct Profile {
    pub relist_after_months: u32,
}
#[derive(Clone, Debug)]
pub struct Deadlines {
    profile: Profile,
}
impl Deadlines {
    pub fn placeholder() -> Deadlines {
        Deadlines { profile: Profile { relist_after_months: 6 } }
    }
    pub fn profile(&self) -> &Profile {
        &self.profile
    }
    pub fn due(&self, _: Clock, from: Day) -> Option<Day> {
        Some(from.plus_days(3))
    }
}
