//! What holds of every measure, question and index there is.

use super::*;
use proptest::prelude::*;

fn hits() -> impl Strategy<Value = Option<Hit>> {
    let marks = (0_u8..32, 0_u8..32, any::<bool>(), any::<bool>(), proptest::option::of(18_000_u32..21_000));
    proptest::option::of(marks.prop_map(|(relations, flagged, clock_unsure, exempt, day)| {
        let relations = RelationSet::from_bits(relations).unwrap();
        let flagged = RelationSet::from_bits(flagged).unwrap().and(relations);
        Hit { relations, flagged, clock_unsure, exempt, listed_on: day.map(Day) }
    }))
}

fn values() -> impl Strategy<Value = Option<ConditionValue>> {
    proptest::option::of(prop_oneof![
        Just(ConditionValue::Met),
        Just(ConditionValue::NotMet),
        (18_000_u32..20_000).prop_map(|day| ConditionValue::Date(Day(day))),
        (0_u64..3_000).prop_map(ConditionValue::AmountFen),
    ])
}

fn subjects() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "adult",
        "child",
        "foreigner",
        "centenarian",
        "company",
        "odd-company",
        "17-until-tomorrow",
        "18-since-yesterday",
    ])
}

/// A relation that is in force, in the mask, confirmed, not exempt, and not in doubt.
fn is_firm(hit: Option<Hit>, mask: RelationSet) -> bool {
    hit.is_some_and(|hit| !hit.exempt && !hit.clock_unsure && !hit.relations.and(mask).without(hit.flagged).is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn restricts_only_on_a_firm_hit_and_an_answered_condition(
        row in 0..Catalogue::shipped().measures().len(),
        subject in subjects(),
        with_item in any::<bool>(),
        value in values(),
        limit_fen in proptest::option::of(500_u64..2_000),
        hit in hits(),
        officers in prop::collection::vec((subjects(), hits()), 0..4),
        name in prop::sample::select(vec![
            NameCheck::NotGiven, NameCheck::Matches, NameCheck::Differs, NameCheck::Unavailable,
        ]),
    ) {
        let measure = &Catalogue::shipped().measures()[row];
        let subject = who(subject);
        let item = measure.items.first().filter(|_| with_item).map(|item| &**item);
        let conditions: Vec<ConditionAnswer> = value
            .zip(measure.condition.name())
            .map(|(value, condition)| ConditionAnswer { condition, value })
            .into_iter()
            .collect();
        let officer_hits: Vec<Option<Hit>> = officers.iter().map(|(_, hit)| *hit).collect();
        let officers: Vec<Officer> = measure
            .also_check
            .iter()
            .cycle()
            .zip(&officers)
            .map(|(capacity, (name, _))| Officer { capacity: *capacity, identity: who(name) })
            .collect();
        let question = Question {
            subject: &subject, item, officers: &officers, conditions: &conditions, limit_fen, today: TODAY,
        };
        let (answer, probed) = match plan(measure, &question) {
            Err(_) => return Ok(()),
            Ok(Plan::Answer(answer)) => (answer, false),
            Ok(Plan::Probe(probe)) => (probe.conclude(hit, |at, _| officer_hits[at]).confirm_name(name), true),
        };

        if answer.verdict().is_adverse() {
            prop_assert!(probed, "adverse without a probe");
            let by_subject = is_firm(hit, measure.mask());
            let by_officer = (0..officers.len()).any(|at| is_firm(officer_hits[at], RelationSet::DEBTOR));
            prop_assert!(by_subject || by_officer, "adverse without a firm hit: {answer:?}");
        }
        if answer.verdict() == Verdict::Restricted {
            prop_assert!(measure.condition.name().is_none() || value.is_some(), "an unanswered condition restricted");
            prop_assert!(answer.effect().and_then(Effect::verdict) == Some(Verdict::Restricted));
            prop_assert!(answer.open_condition().is_none());
            prop_assert!(subject.is_minor(TODAY) != Some(true), "a child was restricted");
        }
        prop_assert_eq!(answer.effect().is_some(), answer.verdict().is_adverse());
        prop_assert_eq!(answer.on_unknown().is_some(), answer.verdict() == Verdict::Unknown);
        prop_assert_eq!(answer.open_condition().is_some(), answer.reason() == AnswerReason::ConditionOpen);
        if let Via::Subject(relations) = answer.via() {
            let says_defaulter = answer.reason() == AnswerReason::ListedDebtor;
            prop_assert!(!says_defaulter || relations.contains(Relation::Debtor), "a related person was called one");
        }

        let one_bit = view(&answer, FieldMask::ONE_BIT);
        prop_assert!(one_bit.relation.is_none() && one_bit.officer_positions.is_empty());
        // An effect is told where a restriction is less than a prohibition, and nowhere else.
        let less = answer.effect().filter(|effect| *effect != Effect::Prohibit);
        prop_assert_eq!(one_bit.effect, less.filter(|_| answer.verdict() == Verdict::Restricted));
        prop_assert!(matches!(
            one_bit.reason,
            AnswerReason::NotListed | AnswerReason::OutOfScope | AnswerReason::Minor | AnswerReason::CourtOrder
                | AnswerReason::ConditionOpen | AnswerReason::IdentityNotConfirmed
        ));
        prop_assert_eq!(one_bit.slip, answer.verdict() == Verdict::Restricted);
    }
}
