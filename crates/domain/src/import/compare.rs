//! A row of a court's list beside the listing that it names.

use crate::listing::Content;

/// Names of a content's fields, as on the wire; never what they hold.
pub type ListFields = Vec<&'static str>;

/// The fields that differ, of those that a row carries. Of the decision a row carries number, date and term: service, grace and
/// extensions are facts of their own events, and what a migration attested has no number to compare.
pub fn differing_fields(listing: &Content, row: &Content) -> ListFields {
    let decision = |content: &Content| {
        let decision = content.decision.as_ref();
        decision.map(|decision| (decision.number.clone(), decision.date, decision.term_months))
    };
    let attested = listing.decision.as_ref().is_some_and(|decision| decision.attested);
    let fields = [
        ("identities", listing.identities == row.identities),
        ("name", listing.name == row.name),
        ("sex", listing.sex == row.sex),
        ("age", listing.age == row.age),
        ("representative_name", listing.representative_name == row.representative_name),
        ("decision", attested || decision(listing) == decision(row)),
        ("ground", listing.ground == row.ground),
        ("case_number", listing.case_number == row.case_number),
        ("basis_document", listing.basis_document == row.basis_document),
        ("basis_issuer", listing.basis_issuer == row.basis_issuer),
        ("filed_on", listing.filed_on == row.filed_on),
        ("published_on", listing.published_on == row.published_on),
        ("court_name", listing.court_name == row.court_name),
        ("area", listing.area == row.area),
        ("obligation", listing.obligation == row.obligation),
        ("performance", listing.performance == row.performance),
        ("performed_part", listing.performed_part == row.performed_part),
        ("unperformed_part", listing.unperformed_part == row.unperformed_part),
        ("conduct", listing.conduct == row.conduct),
    ];
    fields.into_iter().filter(|(_, same)| !same).map(|(field, _)| field).collect()
}
