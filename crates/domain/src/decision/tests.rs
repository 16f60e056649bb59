//! The hand-made table of the whole decision, and what must hold of every decision there is.

// Tables are as long as they are.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::too_many_lines)]

use super::*;
use crate::identity::{Kind, Source, synthetic};
use crate::measure::{Capacity, Catalogue, OnUnknown, Relation};
use crate::time::Day;
use jiff::civil::date;

const TODAY: Date = date(2026, 3, 2);

pub(super) fn person(kind: Kind, number: &str, state: Option<&str>) -> Identity {
    Identity::parse(kind, number, state, Source::Court, TODAY).unwrap()
}

fn adult() -> Identity {
    person(Kind::ResidentId, &synthetic::resident_id("440882", date(1980, 5, 6), 11), None)
}

fn child() -> Identity {
    person(Kind::ResidentId, &synthetic::resident_id("440882", date(2015, 5, 6), 11), None)
}

/// Eighteen since yesterday, or from tomorrow. What the birthday itself counts is the identity's business.
fn born(year: i16, month: i8, day: i8) -> Identity {
    person(Kind::ResidentId, &synthetic::resident_id("440882", date(year, month, day), 12), None)
}

fn foreigner() -> Identity {
    person(Kind::Passport, "X1234567", Some("DEU"))
}

fn centenarian() -> Identity {
    person(Kind::ResidentId, &synthetic::resident_id_15("440882", date(1920, 1, 1), 997), None)
}

fn company() -> Identity {
    person(Kind::Uscc, &synthetic::uscc("91", "440882", 77), None)
}

/// A credit code with a wrong check character, as real ones from before 2016 have.
fn odd_company() -> Identity {
    let code = synthetic::uscc("91", "440882", 78);
    let wrong = if code.ends_with('0') { '1' } else { '0' };
    person(Kind::Uscc, &format!("{}{wrong}", &code[..17]), None)
}

/// What is worked out once for many is what each would be told alone.
#[test]
fn alike_questions_are_looked_up_where_each_alone_is() {
    let subjects =
        ["adult", "child", "17-until-tomorrow", "foreigner", "centenarian", "company", "odd-company"].map(who);
    let (mut probed, mut others) = (0, 0);
    for measure in Catalogue::shipped().measures() {
        let items = [None, Some("no such item")].into_iter().chain(measure.items.iter().map(|item| Some(&**item)));
        for item in items {
            let alike = Alike::new(measure, item, TODAY);
            for subject in &subjects {
                let (officers, conditions) = (&[], &[]);
                let question = Question { subject, item, officers, conditions, limit_fen: Some(1), today: TODAY };
                let looked_up = match plan(measure, &question) {
                    Ok(Plan::Probe(probe)) => probe.subject().map(|found| (found, probe)),
                    Ok(Plan::Answer(_)) | Err(_) => None,
                };
                assert_eq!(
                    alike.is_some_and(|alike| alike.is_probed(subject)),
                    looked_up.is_some(),
                    "{}",
                    measure.code
                );
                let Some(((identity, mask), probe)) = looked_up else {
                    others += 1;
                    continue;
                };
                probed += 1;
                assert!(identity == subject && mask == measure.mask());
                for name in [NameCheck::NotGiven, NameCheck::Differs, NameCheck::Unavailable] {
                    let missed = probe.conclude(None, |_, _| None).confirm_name(name);
                    assert_eq!(missed, Answer::clear(AnswerReason::NotListed, Via::Nobody));
                }
            }
        }
    }
    assert!(probed > 100 && others > 100, "{probed} {others}");
}

fn who(name: &str) -> Identity {
    match name {
        "adult" => adult(),
        "child" => child(),
        "18-since-yesterday" => born(2008, 3, 1),
        "17-until-tomorrow" => born(2008, 3, 3),
        "foreigner" => foreigner(),
        "centenarian" => centenarian(),
        "company" => company(),
        "odd-company" => odd_company(),
        other => panic!("no such subject: {other}"),
    }
}

/// `debtor`, `legal_representative+debtor`, with `!flagged`, `!clock`, `!exempt`, `@2025-01-01` (listed on).
fn hit(text: &str) -> Option<Hit> {
    if text == "-" {
        return None;
    }
    let mut found = Hit {
        relations: RelationSet::EMPTY,
        flagged: RelationSet::EMPTY,
        clock_unsure: false,
        exempt: false,
        listed_on: None,
    };
    let (words, listed_on) = text.split_once('@').map_or((text, None), |(words, day)| (words, Some(day)));
    found.listed_on = listed_on.map(|day| Day::parse(day).unwrap());
    let mut words = words.split('!');
    for relation in words.next().unwrap().split('+') {
        found.relations = found.relations.or(RelationSet::only(Relation::parse(relation).unwrap()));
    }
    for word in words {
        match word {
            "flagged" => found.flagged = found.relations,
            "debtor-flagged" => found.flagged = RelationSet::DEBTOR,
            "clock" => found.clock_unsure = true,
            "exempt" => found.exempt = true,
            other => panic!("no such mark: {other}"),
        }
    }
    Some(found)
}

/// `director=adult:debtor`: capacity, who, and their hit.
fn officer(text: &str) -> (Officer, Option<Hit>) {
    let (capacity, rest) = text.split_once('=').unwrap();
    let (name, hit_text) = rest.split_once(':').unwrap();
    (Officer { capacity: Capacity::parse(capacity).unwrap(), identity: who(name) }, hit(hit_text))
}

/// `name=met`, `name=not_met`, `name=2025-01-01`, `name=5000fen`.
fn condition(text: &str) -> ConditionAnswer<'_> {
    let (condition, value) = text.split_once('=').unwrap();
    let value = match value {
        "met" => ConditionValue::Met,
        "not_met" => ConditionValue::NotMet,
        _ => match value.strip_suffix("fen") {
            Some(amount) => ConditionValue::AmountFen(amount.parse().unwrap()),
            None => ConditionValue::Date(Day::parse(value).unwrap()),
        },
    };
    ConditionAnswer { condition, value }
}

/// One row: the question, what the index holds, and the expected answer as
/// `VERDICT REASON EFFECT`, with `open=`, `procedure=`, `limit=`, `officers=` where they are set, or `refused: …`.
fn check(question: &str, index: &str, expected: &str) {
    let outcome = answer(question, index);
    assert_eq!(outcome, expected, "asked: {question}; the index holds: {index}");
}

fn answer(question: &str, index: &str) -> String {
    let mut words = question.split_whitespace();
    let catalogue = switched_on();
    let measure = catalogue.measure(words.next().unwrap()).expect("a measure of the catalogue");
    let subject = who(words.next().unwrap());
    let (mut item, mut conditions, mut name, mut limit_fen) = (None, Vec::new(), NameCheck::NotGiven, None);
    for word in words {
        match word {
            "name:differs" => name = NameCheck::Differs,
            "name:matches" => name = NameCheck::Matches,
            "name:unavailable" => name = NameCheck::Unavailable,
            "limit:1000" => limit_fen = Some(1000),
            _ if word.contains('=') => conditions.push(condition(word)),
            _ => item = Some(word),
        }
    }
    let mut holds = index.split_whitespace();
    let subject_hit = hit(holds.next().unwrap());
    let (officers, hits): (Vec<Officer>, Vec<Option<Hit>>) = holds.map(officer).unzip();
    let question =
        Question { subject: &subject, item, officers: &officers, conditions: &conditions, limit_fen, today: TODAY };
    let answer = match plan(measure, &question) {
        Err(refusal) => return format!("refused: {refusal}"),
        Ok(Plan::Answer(answer)) => return format!("{} (no probe)", told(&answer)),
        Ok(Plan::Probe(probe)) => probe.conclude(subject_hit, |position, _| hits[position]).confirm_name(name),
    };
    told(&answer)
}

fn told(answer: &Answer) -> String {
    let mut text = format!("{} {}", answer.verdict(), answer.reason());
    let mut add = |part: String| {
        text.push(' ');
        text.push_str(&part);
    };
    if let Some(effect) = answer.effect() {
        add(effect.to_string());
    }
    if let Some(open) = answer.open_condition() {
        add(format!("open={open}"));
    }
    if let Some(procedure) = answer.procedure() {
        add(format!("procedure={procedure}"));
    }
    if let Some(limit) = answer.limit_fen() {
        add(format!("limit={limit}"));
    }
    if !answer.officers_listed().is_empty() {
        add(format!("officers={:?}", answer.officers_listed().iter().collect::<Vec<_>>()));
    }
    if let Some(on_unknown) = answer.on_unknown() {
        add(on_unknown.to_string());
    }
    text
}

/// The shipped catalogue with one row switched on, as a policy does it.
fn switched_on() -> Catalogue {
    let mut catalogue = Catalogue::shipped().clone();
    let id = catalogue.measure("office.deputy-candidate").unwrap().id;
    catalogue.switch_on(id, "a decision".to_owned());
    catalogue
}

#[test]
fn who_is_caught_by_what() {
    for (question, index, expected) in [
        // Nobody is restricted without a listing.
        ("procurement.supplier company", "-", "CLEAR NOT_LISTED"),
        ("consumption.hotel adult star_rated", "-", "CLEAR NOT_LISTED"),
        // The listed subject, by the row's effect.
        ("procurement.supplier company", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("procurement.supplier adult", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("procurement.public-project company", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("finance.establish-institution company", "debtor", "CONSIDER LISTED_DEBTOR REFERENCE"),
        ("finance.establish-quasi-financial adult", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("licence.drug-food company", "debtor", "CONSIDER LISTED_DEBTOR STRICT_REVIEW"),
        ("licence.hazardous-industry company", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("office.civil-servant-appraisal adult", "debtor", "CONSIDER LISTED_DEBTOR REFERENCE"),
        ("office.civil-servant-recruitment foreigner", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("supervision.inspection adult", "debtor", "CONSIDER LISTED_DEBTOR SUPERVISE"),
        ("credit.lending adult", "debtor", "CONSIDER LISTED_DEBTOR STRICT_REVIEW"),
        ("consumption.hotel adult star_rated", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("consumption.rail-air adult flight", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("consumption.entertainment company", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        // Related people, where the measure reaches them; never as defaulters.
        ("consumption.hotel adult star_rated", "legal_representative", "RESTRICTED RELATED_PERSON PROHIBIT"),
        ("consumption.rail-air adult g_train", "principal", "RESTRICTED RELATED_PERSON PROHIBIT"),
        ("consumption.outbound-tour adult group_outbound", "actual_controller", "RESTRICTED RELATED_PERSON PROHIBIT"),
        ("consumption.rail-air foreigner flight", "directly_responsible", "RESTRICTED RELATED_PERSON PROHIBIT"),
        ("consumption.hotel adult star_rated", "legal_representative+debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("consumption.entertainment company", "actual_controller", "RESTRICTED RELATED_PERSON PROHIBIT"),
        // And where it doesn't, they are clear.
        ("procurement.supplier adult", "legal_representative", "CLEAR NOT_LISTED"),
        ("credit.lending adult", "actual_controller", "CLEAR NOT_LISTED"),
        ("honour.civic-person adult", "principal", "CLEAR NOT_LISTED"),
        ("transaction.land-mineral adult", "legal_representative+principal", "CLEAR NOT_LISTED"),
        ("office.financial-executive adult", "legal_representative+debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        // The wrong kind of subject, and an item outside, without a probe: staff aren't hit for their employer.
        ("consumption.hotel company star_rated", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("consumption.rail-air company flight", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("consumption.private-school company", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("honour.civic-person company", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("licence.construction-qualification adult", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("equity.incentive-plan adult", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("consumption.rail-air adult hard_seat", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("consumption.hotel adult hostel", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("consumption.hotel centenarian hostel", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        // Children are never looked up, until the day they come of age.
        ("consumption.rail-air child flight", "debtor", "CLEAR MINOR (no probe)"),
        ("consumption.hotel child star_rated", "legal_representative", "CLEAR MINOR (no probe)"),
        ("credit.lending 17-until-tomorrow", "debtor", "CLEAR MINOR (no probe)"),
        ("credit.lending 18-since-yesterday", "debtor", "CONSIDER LISTED_DEBTOR STRICT_REVIEW"),
        // An exemption.
        ("consumption.rail-air adult flight", "debtor!exempt", "CLEAR EXEMPT"),
        ("consumption.hotel adult star_rated", "legal_representative!exempt", "CLEAR EXEMPT"),
    ] {
        check(question, index, expected);
    }
}

#[test]
fn what_is_unsure_never_restricts() {
    for (question, index, expected) in [
        // The identity asked.
        ("consumption.rail-air centenarian flight", "debtor", "UNKNOWN IDENTITY_NOT_CONFIRMED proceed (no probe)"),
        ("procurement.supplier odd-company", "-", "UNKNOWN IDENTITY_NOT_CONFIRMED retry_until_cutoff (no probe)"),
        ("credit.lending odd-company", "debtor", "UNKNOWN IDENTITY_NOT_CONFIRMED ask_again_then_person (no probe)"),
        // The identity listed.
        ("procurement.supplier company", "debtor!flagged", "UNKNOWN IDENTITY_NOT_CONFIRMED retry_until_cutoff"),
        ("consumption.hotel adult star_rated", "debtor!flagged", "UNKNOWN IDENTITY_NOT_CONFIRMED proceed"),
        (
            "consumption.hotel adult star_rated",
            "legal_representative+debtor!debtor-flagged",
            "RESTRICTED RELATED_PERSON PROHIBIT",
        ),
        (
            "credit.lending adult",
            "legal_representative+debtor!debtor-flagged",
            "UNKNOWN IDENTITY_NOT_CONFIRMED ask_again_then_person",
        ),
        // The clocks.
        ("consumption.hotel adult star_rated", "debtor!clock", "UNKNOWN CLOCK_UNSURE proceed"),
        ("licence.drug-food company", "debtor!clock", "UNKNOWN CLOCK_UNSURE ask_again_then_person"),
        ("licence.drug-food company", "principal!clock", "CLEAR NOT_LISTED"),
        ("consumption.hotel adult star_rated", "debtor!clock!exempt", "CLEAR EXEMPT"),
        // The name: confirms a hit, never makes one.
        ("procurement.supplier company name:matches", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("procurement.supplier company name:matches", "-", "CLEAR NOT_LISTED"),
        ("procurement.supplier company name:differs", "-", "CLEAR NOT_LISTED"),
        ("procurement.supplier company name:unavailable", "-", "CLEAR NOT_LISTED"),
        ("procurement.supplier company name:differs", "debtor", "UNKNOWN IDENTITY_NOT_CONFIRMED retry_until_cutoff"),
        ("credit.lending adult name:differs", "debtor", "UNKNOWN IDENTITY_NOT_CONFIRMED ask_again_then_person"),
        ("consumption.hotel adult star_rated name:unavailable", "debtor", "UNKNOWN NAME_NOT_CHECKED proceed"),
        ("consumption.rail-air adult flight name:differs", "debtor!exempt", "CLEAR EXEMPT"),
    ] {
        check(question, index, expected);
    }
}

#[test]
fn what_an_officers_listing_does() {
    for (question, index, expected) in [
        ("credit.lending company", "- director=adult:debtor", "CONSIDER OFFICER_LISTED INFORM officers=[0]"),
        ("credit.lending company", "- director=adult:-", "CLEAR NOT_LISTED"),
        ("credit.lending company", "- director=adult:legal_representative", "CLEAR NOT_LISTED"),
        ("credit.lending company", "debtor director=adult:debtor", "CONSIDER LISTED_DEBTOR STRICT_REVIEW officers=[0]"),
        (
            "credit.lending company",
            "- legal_representative=adult:- supervisor=foreigner:debtor senior_manager=adult:debtor",
            "CONSIDER OFFICER_LISTED INFORM officers=[1, 2]",
        ),
        (
            "policy.support company",
            "- actual_controller=adult:debtor",
            "CONSIDER OFFICER_LISTED REFERENCE officers=[0]",
        ),
        (
            "supervision.inspection company",
            "- principal=adult:debtor",
            "CONSIDER OFFICER_LISTED SUPERVISE officers=[0]",
        ),
        (
            "honour.civic-organisation company",
            "- director=adult:debtor",
            "RESTRICTED OFFICER_LISTED PROHIBIT officers=[0]",
        ),
        // An officer who is a child or unsure is treated as a subject would be.
        ("credit.lending company", "- director=child:debtor", "CLEAR NOT_LISTED"),
        (
            "credit.lending company",
            "- director=centenarian:debtor",
            "UNKNOWN IDENTITY_NOT_CONFIRMED ask_again_then_person",
        ),
        (
            "credit.lending company",
            "- director=adult:debtor!flagged",
            "UNKNOWN IDENTITY_NOT_CONFIRMED ask_again_then_person",
        ),
        ("credit.lending company", "- director=adult:debtor!clock", "UNKNOWN CLOCK_UNSURE ask_again_then_person"),
        // The strongest wins: RESTRICTED, UNKNOWN, CONSIDER, CLEAR.
        (
            "credit.lending company",
            "debtor director=centenarian:-",
            "UNKNOWN IDENTITY_NOT_CONFIRMED ask_again_then_person",
        ),
        (
            "credit.lending company name:differs",
            "debtor director=adult:debtor",
            "UNKNOWN IDENTITY_NOT_CONFIRMED officers=[0] ask_again_then_person",
        ),
        (
            "honour.civic-organisation company name:differs",
            "debtor director=adult:debtor",
            "RESTRICTED OFFICER_LISTED PROHIBIT officers=[0]",
        ),
        (
            "honour.civic-organisation odd-company",
            "- director=adult:debtor",
            "RESTRICTED OFFICER_LISTED PROHIBIT officers=[0]",
        ),
        (
            "credit.lending odd-company",
            "- director=adult:debtor",
            "UNKNOWN IDENTITY_NOT_CONFIRMED officers=[0] ask_again_then_person",
        ),
        (
            "honour.civic-organisation company",
            "- director=centenarian:- supervisor=adult:debtor",
            "RESTRICTED OFFICER_LISTED PROHIBIT officers=[1]",
        ),
        // The row's condition holds for officers too, each against their own listing.
        (
            "honour.withdraw-organisation company acquired_after_listing=2025-06-01",
            "- director=adult:debtor@2025-01-01 supervisor=foreigner:debtor@2025-07-01",
            "RESTRICTED OFFICER_LISTED WITHDRAW officers=[0]",
        ),
    ] {
        check(question, index, expected);
    }
}

#[test]
fn what_conditions_do() {
    for (question, index, expected) in [
        // Facts: met, not met, unanswered. What is put outside by the caller's own words needs no probe.
        ("transaction.real-estate adult acquisition_only=met", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("transaction.real-estate adult acquisition_only=met", "principal", "RESTRICTED RELATED_PERSON PROHIBIT"),
        ("transaction.real-estate adult acquisition_only=met", "-", "CLEAR NOT_LISTED"),
        ("transaction.real-estate adult acquisition_only=not_met", "debtor", "CLEAR OUT_OF_SCOPE (no probe)"),
        ("transaction.real-estate adult", "debtor", "CONSIDER CONDITION_OPEN PROHIBIT open=acquisition_only"),
        ("transaction.real-estate adult", "-", "CLEAR NOT_LISTED"),
        (
            "subsidy.grant adult not_subsistence_or_social_insurance_entitlement=not_met",
            "debtor",
            "CLEAR OUT_OF_SCOPE (no probe)",
        ),
        (
            "consumption.private-school adult payer_only=met",
            "legal_representative",
            "RESTRICTED RELATED_PERSON PROHIBIT",
        ),
        ("consumption.vehicle company not_necessary_for_business=met", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("equity.incentive-plan company state_controlled_company=met", "debtor", "RESTRICTED LISTED_DEBTOR SUSPEND"),
        ("equity.exercise-right adult state_controlled_company=met", "debtor", "RESTRICTED LISTED_DEBTOR TERMINATE"),
        ("honour.lawyer adult term_required=met", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        ("consumption.insurance adult", "debtor!flagged", "UNKNOWN IDENTITY_NOT_CONFIRMED proceed"),
        ("consumption.insurance adult name:differs", "debtor", "UNKNOWN IDENTITY_NOT_CONFIRMED proceed"),
        // A row switched on in configuration.
        (
            "office.deputy-candidate adult organisational_recommendation_only=met",
            "debtor",
            "RESTRICTED LISTED_DEBTOR PROHIBIT",
        ),
        // In post: a manner, not a gate.
        ("office.state-enterprise-executive adult in_post=not_met", "debtor", "RESTRICTED LISTED_DEBTOR PROHIBIT"),
        (
            "office.state-enterprise-executive adult in_post=met",
            "debtor",
            "RESTRICTED LISTED_DEBTOR PROHIBIT procedure=removal_by_procedure",
        ),
        (
            "office.regulated-industry-executive adult in_post=met",
            "debtor",
            "RESTRICTED LISTED_DEBTOR PROHIBIT procedure=change_by_procedure",
        ),
        ("office.state-enterprise-executive adult", "debtor", "CONSIDER CONDITION_OPEN PROHIBIT open=in_post"),
        // A date against the listing's.
        (
            "honour.withdraw-person adult acquired_after_listing=2025-06-02",
            "debtor@2025-06-01",
            "RESTRICTED LISTED_DEBTOR WITHDRAW",
        ),
        ("honour.withdraw-person adult acquired_after_listing=2025-06-01", "debtor@2025-06-01", "CLEAR OUT_OF_SCOPE"),
        ("honour.withdraw-person adult acquired_after_listing=2020-06-01", "debtor@2025-06-01", "CLEAR OUT_OF_SCOPE"),
        (
            "honour.withdraw-person adult acquired_after_listing=2025-06-02",
            "debtor",
            "CONSIDER CONDITION_OPEN WITHDRAW open=acquired_after_listing",
        ),
        (
            "honour.withdraw-person adult",
            "debtor@2025-06-01",
            "CONSIDER CONDITION_OPEN WITHDRAW open=acquired_after_listing",
        ),
        // An amount against the configured limit.
        (
            "consumption.resort-limit adult amount_required=1001fen limit:1000",
            "debtor",
            "RESTRICTED LISTED_DEBTOR LIMIT limit=1000",
        ),
        (
            "consumption.resort-limit adult amount_required=1000fen limit:1000",
            "debtor",
            "CLEAR OUT_OF_SCOPE (no probe)",
        ),
        (
            "consumption.resort-limit adult amount_required=1001fen",
            "debtor",
            "CONSIDER CONDITION_OPEN LIMIT open=amount_required",
        ),
        (
            "consumption.resort-limit adult limit:1000",
            "debtor",
            "CONSIDER CONDITION_OPEN LIMIT open=amount_required limit=1000",
        ),
        (
            "consumption.resort-limit adult amount_required=1001fen limit:1000",
            "legal_representative",
            "CLEAR NOT_LISTED",
        ),
    ] {
        check(question, index, expected);
    }
}

#[test]
fn what_is_no_question_is_refused() {
    for (question, index, field) in [
        ("assist.exit-restriction adult", "debtor", "measure: assist.exit-restriction can't be asked"),
        ("criminal.refusal adult", "debtor", "measure: criminal.refusal can't be asked"),
        ("report.cppcc-members adult", "debtor", "measure: report.cppcc-members can't be asked"),
        ("office.military-service adult", "debtor", "measure: office.military-service is switched off"),
        ("consumption.hotel adult", "debtor", "item: is missing; consumption.hotel is asked for one of star_rated"),
        ("credit.lending adult flight", "debtor", "item: credit.lending has no items"),
        ("procurement.supplier company", "- director=adult:debtor", "officers: procurement.supplier looks at no"),
        ("credit.lending adult", "- director=adult:debtor", "officers: a person has no officers"),
        ("policy.support company", "- principal=adult:-", "officers[0].capacity: policy.support doesn't look at a pri"),
        ("credit.lending company payer_only=met", "-", "conditions[0].condition: credit.lending has no such condition"),
        ("consumption.private-school adult payer_only=met payer_only=met", "-", "conditions[1].condition: is answered"),
        (
            "consumption.private-school adult payer_only=5fen",
            "-",
            "conditions[0].answer: payer_only is answered with met",
        ),
        (
            "consumption.resort-limit adult amount_required=met",
            "-",
            "conditions[0].answer: amount_required is answered",
        ),
        (
            "honour.withdraw-person adult acquired_after_listing=met",
            "-",
            "conditions[0].answer: acquired_after_listing",
        ),
        (
            "honour.withdraw-person adult acquired_after_listing=2026-03-03",
            "-",
            "conditions[0].date: acquired_after_li",
        ),
        (
            "office.state-enterprise-executive adult in_post=2020-01-01",
            "-",
            "conditions[0].answer: in_post is answered",
        ),
    ] {
        let outcome = answer(question, index);
        assert!(outcome.starts_with(&format!("refused: {field}")), "{question}: {outcome}");
    }
}

#[test]
fn refuses_more_officers_than_a_question_may_name() {
    let officers = vec![Officer { capacity: Capacity::Director, identity: adult() }; MAX_OFFICERS + 1];
    let subject = company();
    let question =
        Question { subject: &subject, item: None, officers: &officers, conditions: &[], limit_fen: None, today: TODAY };
    let measure = Catalogue::shipped().measure("credit.lending").unwrap();
    assert_eq!(plan(measure, &question).unwrap_err(), Refusal::TooManyOfficers { given: 31 });
    let fewer = Question { officers: &officers[..MAX_OFFICERS], ..question };
    let Ok(Plan::Probe(probe)) = plan(measure, &fewer) else { panic!("thirty officers are looked up") };
    assert_eq!(probe.officers().count(), MAX_OFFICERS);
}

mod properties;
mod views;
