//! What this test has found wrong in the ledger, each as the steps that it took: they stay.

use xinhub_domain::measure::Relation;

use crate::steps::{Decides, Etag, Finds, Relates, Row, Says, Sent, Step, Tag, Try, What};
use crate::world::Who;

fn says(own_unit: bool, decision: Option<Decides>) -> Says {
    Says { who: vec![Who::Firm(10)], case: 217, fixed: false, decision, noticed: true, own_unit, conduct: 0 }
}

fn of_court(court: usize, number: u32, on: Option<u32>, what: What) -> Step {
    let (tag, on) = (Tag(number, 0), on.map(|number| Tag(number, 0)));
    Step::Do(Try { tag, by: court, staff: "clerk", approver: "j-1", etag: Etag::Current, on, what, sent: Sent::Once })
}

/// Every reproduction, by what was wrong.
pub(crate) fn all() -> Vec<(&'static str, Vec<Step>)> {
    vec![
        ("a file that brought an own-unit-only entry into force did not start its unit's clock", own_unit_by_file()),
        ("a notice of one person served to list another", anothers_notice()),
        ("a removal whose reason was given later did not bar the creditor's next application", reason_given_later()),
        ("who alone had named a related person before the proposal released it", named_before_the_proposal()),
    ]
}

fn own_unit_by_file() -> Vec<Step> {
    let decision = Decides { ago: 16, served: Some(5), grace: 32, attested: false };
    let row = Row::Listing(Says { noticed: false, ..says(false, Some(decision)) });
    vec![
        of_court(2, 0, None, What::Notice(says(true, None))),
        Step::Import { court: 2, dry_run: false, amend: true, rows: vec![(Tag(1, 0), row)] },
    ]
}

fn reason_given_later() -> Vec<Step> {
    let decided = || says(false, Some(Decides { ago: 4, served: Some(3), grace: 0, attested: false }));
    let granted = Finds { upheld: true, served: None, redress: None };
    vec![
        of_court(0, 0, None, What::Publish(decided(), None)),
        of_court(0, 1, Some(0), What::Remove("")),
        of_court(0, 2, Some(0), What::GiveReason("creditor_request")),
        of_court(0, 3, None, What::Apply { court: None, case: 217, debtor: Who::Firm(10), ago: 0 }),
        of_court(0, 4, Some(3), What::Decide(granted)),
        of_court(0, 5, None, What::Publish(decided(), Some(Tag(3, 0)))),
    ]
}

fn anothers_notice() -> Vec<Step> {
    let decided = says(false, Some(Decides { ago: 4, served: Some(3), grace: 0, attested: false }));
    let of_another = Says { who: vec![Who::Person(1)], noticed: false, ..decided.clone() };
    let of_another_case = Says { case: 218, ..decided };
    vec![
        of_court(0, 0, None, What::Notice(says(false, None))),
        of_court(0, 1, Some(0), What::Publish(of_another, None)),
        of_court(0, 2, Some(0), What::Propose(of_another_case, None)),
    ]
}

fn named_before_the_proposal() -> Vec<Step> {
    let decided = says(false, Some(Decides { ago: 4, served: Some(3), grace: 0, attested: false }));
    let relates = Relates { who: Who::Person(1), relation: Relation::Principal, until: None };
    let by = |number, staff, on, what| {
        let tag = Tag(number, 0);
        Step::Do(Try { tag, by: 0, staff, approver: "", etag: Etag::Current, on, what, sent: Sent::Once })
    };
    vec![
        of_court(0, 0, None, What::Notice(says(false, None))),
        by(1, "j-1", Some(Tag(0, 0)), What::SetRelation(relates)),
        of_court(0, 2, Some(0), What::Propose(decided, None)),
        by(3, "j-1", Some(Tag(0, 0)), What::Approve),
        by(4, "j-2", Some(Tag(0, 0)), What::Approve),
    ]
}
