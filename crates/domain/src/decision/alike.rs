//! Questions of one request that differ by nothing but whom they are about, and by a name that would confirm a hit.

use jiff::civil::Date;

use super::{Standing, check_measure, is_item_outside, standing, takes};
use crate::identity::Identity;
use crate::measure::{Measure, SubjectSort};

/// What [`plan`](super::plan) says of all such questions, worked out once: they name no officer, and answer no condition.
#[derive(Clone, Copy, Debug)]
pub struct Alike {
    sort: SubjectSort,
    today: Date,
}

impl Alike {
    /// `None` where every such question is refused, or answered without looking anybody up: `plan` says how.
    pub fn new(measure: &Measure, item: Option<&str>, today: Date) -> Option<Alike> {
        check_measure(measure).ok()?;
        // A gate that nothing was said about is never shut.
        let outside = is_item_outside(measure, item).ok()?;
        (!outside).then_some(Alike { sort: measure.restricted.sort, today })
    }

    /// Whether this subject is looked up, for all that the measure reaches; if nothing is found, the answer is `CLEAR`,
    /// `NOT_LISTED`, whatever the name. Of any other subject, and where something is found, this says nothing.
    pub fn is_probed(&self, subject: &Identity) -> bool {
        takes(self.sort, subject) && standing(subject, self.today) == Standing::Sound
    }
}
