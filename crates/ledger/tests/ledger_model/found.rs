//! What this test has found wrong in the ledger, each as the steps that it took: they stay.

use crate::steps::{Decides, Etag, Row, Says, Sent, Step, Tag, Try, What};
use crate::world::Who;

fn says(own_unit: bool, decision: Option<Decides>) -> Says {
    Says { who: vec![Who::Firm(10)], case: 217, fixed: false, decision, noticed: true, own_unit, conduct: 0 }
}

fn of_court(court: usize, number: u32, on: Option<u32>, what: What) -> Step {
    let (tag, on) = (Tag(number, 0), on.map(|number| Tag(number, 0)));
    Step::Do(Try { tag, by: court, staff: "clerk", etag: Etag::Current, on, what, sent: Sent::Once })
}

/// Every reproduction, by what was wrong.
pub(crate) fn all() -> Vec<(&'static str, Vec<Step>)> {
    vec![("a file that brought an own-unit-only entry into force did not start its unit's clock", own_unit_by_file())]
}

fn own_unit_by_file() -> Vec<Step> {
    let decision = Decides { ago: 16, served: Some(5), grace: 32, attested: false };
    let row = Row::Listing(Says { noticed: false, ..says(false, Some(decision)) });
    vec![
        of_court(2, 0, None, What::Notice(says(true, None))),
        Step::Import { court: 2, dry_run: false, amend: true, rows: vec![(Tag(1, 0), row)] },
    ]
}
