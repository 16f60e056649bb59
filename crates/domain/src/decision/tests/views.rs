//! What leaves the hub, by the fields of the grant.

use super::*;

/// The view of one answer under three grants: one bit, effect alone, and everything.
fn views(question: &str, index: &str) -> [View; 3] {
    let effect_only: FieldMask = [Field::Effect].into_iter().collect();
    let all: FieldMask = Field::ALL.iter().copied().collect();
    [FieldMask::ONE_BIT, effect_only, all].map(|fields| {
        let measure = Catalogue::shipped().measure(question.split_whitespace().next().unwrap()).unwrap();
        let words: Vec<&str> = question.split_whitespace().collect();
        let subject = who(words[1]);
        let conditions: Vec<ConditionAnswer> =
            words[2..].iter().filter(|w| w.contains('=')).map(|w| condition(w)).collect();
        let item = words[2..].iter().find(|word| !word.contains('=')).copied();
        let mut holds = index.split_whitespace();
        let subject_hit = hit(holds.next().unwrap());
        let (officers, hits): (Vec<Officer>, Vec<Option<Hit>>) = holds.map(officer).unzip();
        let question = Question {
            subject: &subject,
            item,
            officers: &officers,
            conditions: &conditions,
            limit_fen: None,
            today: TODAY,
        };
        let answer = match plan(measure, &question).unwrap() {
            Plan::Answer(answer) => answer,
            Plan::Probe(probe) => probe.conclude(subject_hit, |at, _| hits[at]).confirm_name(NameCheck::NotGiven),
        };
        view(&answer, fields)
    })
}

#[test]
fn a_one_bit_caller_learns_one_bit_and_gets_the_slip() {
    let defaulter = views("consumption.hotel adult star_rated", "debtor");
    let related = views("consumption.hotel adult star_rated", "legal_representative");
    assert_eq!(defaulter[0], related[0], "a hotel can't tell a defaulter from a related person");
    assert_eq!(defaulter[0].reason, AnswerReason::CourtOrder);
    assert!(defaulter[0].slip);
    assert_eq!((defaulter[0].effect, defaulter[0].relation), (None, None));

    let exempt = views("consumption.hotel adult star_rated", "debtor!exempt");
    let unlisted = views("consumption.hotel adult star_rated", "-");
    assert_eq!(exempt[0], unlisted[0], "nor an exempt person from one who isn't listed");
    assert!(!exempt[0].slip);

    let clock = views("consumption.hotel adult star_rated", "debtor!clock");
    let flagged = views("consumption.hotel adult star_rated", "debtor!flagged");
    assert_eq!(clock[0], flagged[0], "nor why the hub can't say");
    assert_eq!(clock[0].on_unknown, Some(OnUnknown::Proceed));
}

#[test]
fn a_caller_without_relation_learns_the_effect_alone() {
    let defaulter = views("consumption.hotel adult star_rated", "debtor");
    let related = views("consumption.hotel adult star_rated", "principal");
    assert_eq!(defaulter[1], related[1]);
    assert_eq!(defaulter[1].effect, Some(Effect::Prohibit));
    assert!(!defaulter[1].slip);
    let acquired_before = views("honour.withdraw-person adult acquired_after_listing=2020-01-01", "debtor@2025-01-01");
    assert_eq!(acquired_before[1].reason, AnswerReason::NotListed, "out of scope by date would tell of a listing");
    assert_eq!(acquired_before[2].reason, AnswerReason::OutOfScope);
}

#[test]
fn a_full_grant_sees_relation_officers_and_listings() {
    let related = &views("consumption.entertainment adult", "legal_representative+principal")[2];
    assert_eq!((related.reason, related.relation), (AnswerReason::RelatedPerson, Some(Relation::LegalRepresentative)));
    assert!(related.shows_listings && !related.slip);
    let exempt = &views("consumption.entertainment adult", "debtor!exempt")[2];
    assert_eq!((exempt.reason, exempt.relation), (AnswerReason::Exempt, None));
    assert!(!exempt.shows_listings);
}

#[test]
fn officers_are_told_in_aggregate_unless_granted() {
    let index = "- director=adult:debtor supervisor=foreigner:- senior_manager=foreigner:debtor";
    let [one_bit, effect_only, all] = views("credit.lending company", index);
    assert_eq!((one_bit.officers_listed, one_bit.officer_positions.len()), (0, 0));
    assert_eq!((effect_only.officers_listed, effect_only.officer_positions.len()), (2, 0));
    assert_eq!((all.officers_listed, all.officer_positions.as_slice()), (2, [0, 2].as_slice()));
}
