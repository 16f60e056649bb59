#![allow(clippy::unwrap_used)]
//! The fold, seen through the ledger: what is in force, and what remains when something ends.

use xinhub_domain::listing::{Exemption, State};
use xinhub_domain::measure::RelationSet;

use super::*;
use crate::command::{Command, CommandError, Outcome};
use crate::ledger::Ledger;
use crate::testing::*;

async fn publish(ledger: &Ledger, client: &str, content: Box<Content>) -> Outcome {
    ledger
        .submit(request(client, "j-1", None, Command::Publish { listing: None, content, application: None }))
        .await
        .unwrap()
}

async fn remove(ledger: &Ledger, client: &str, listing: u64) -> Outcome {
    let command = Command::Remove { listing, ground: "performed".to_owned() };
    ledger.submit(request(client, "j-1", None, command)).await.unwrap()
}

fn only(relation: Relation) -> RelationSet {
    RelationSet::only(relation)
}

#[tokio::test]
async fn ending_one_of_several_listings_leaves_the_rest() {
    let bench = Bench::new(1);
    let ledger = bench.open();
    let first = publish(&ledger, "court-one", content(&draft(person(1), 1))).await;
    let second = publish(&ledger, "court-two", content(&draft(person(1), 2))).await;
    let third = publish(&ledger, "court-one", content(&draft(person(1), 3))).await;
    assert_eq!(held(&ledger, &person(1)), only(Relation::Debtor));
    for listing in [second.listing, third.listing] {
        let court = if listing == second.listing { "court-two" } else { "court-one" };
        remove(&ledger, court, listing).await;
        assert_eq!(held(&ledger, &person(1)), only(Relation::Debtor), "one is left");
    }
    assert_eq!(remove(&ledger, "court-one", first.listing).await.state, State::Removed);
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
    assert_eq!(held(&ledger, &person(2)), RelationSet::EMPTY);
    ledger.shutdown();
}

#[tokio::test]
async fn the_state_after_a_restart_is_the_state_before() {
    let bench = Bench::new(2);
    let ledger = bench.open();
    let org = publish(&ledger, "court-one", content(&draft(organisation(1), 1))).await;
    for (who, how) in [(5, Relation::LegalRepresentative), (6, Relation::ActualController), (5, Relation::Principal)] {
        let command = Command::SetRelation { listing: org.listing, relation: relation(person(who), how, "") };
        let etag = ledger.inspect(|resident| resident.table.row(0).revision());
        ledger.submit(request("court-one", "j-1", Some(etag), command)).await.unwrap();
    }
    let both = only(Relation::LegalRepresentative).or(only(Relation::Principal));
    assert_eq!(held(&ledger, &person(5)), both);
    let end = Command::EndRelation { listing: org.listing, relation: 1, basis_document: "doc".into() };
    ledger.submit(request("court-one", "j-1", None, end)).await.unwrap();
    assert_eq!(held(&ledger, &person(5)), only(Relation::Principal));
    let position = ledger.position();
    // Killed: no snapshot. Then stopped: with one.
    for clean in [false, true] {
        let image = bench.on(bench.sim.restart(3));
        let again = image.open();
        assert_eq!((again.position().epoch, again.position().revision), (position.epoch, position.revision));
        assert_eq!(held(&again, &person(5)), only(Relation::Principal), "clean: {clean}");
        assert_eq!(held(&again, &person(6)), only(Relation::ActualController));
        assert_eq!(held(&again, &organisation(1)), only(Relation::Debtor));
        again.shutdown();
        if !clean {
            ledger.shutdown();
        }
    }
}

#[tokio::test]
async fn terms_relations_and_grace_end_by_the_clock_also_while_the_hub_is_down() {
    let bench = Bench::new(4);
    let ledger = bench.open();
    let mut fixed = draft(person(1), 1);
    fixed.ground = 2;
    fixed.decision.as_mut().unwrap().term_months = 24;
    fixed.decision.as_mut().unwrap().date = "2024-03-03".into();
    publish(&ledger, "court-one", content(&fixed)).await;
    let mut grace = draft(person(2), 2);
    grace.decision.as_mut().unwrap().grace_days = 3;
    publish(&ledger, "court-one", content(&grace)).await;
    let org = publish(&ledger, "court-one", content(&draft(organisation(1), 3))).await;
    let set =
        Command::SetRelation { listing: org.listing, relation: relation(person(3), Relation::Principal, "2026-03-03") };
    ledger.submit(request("court-one", "j-1", Some(org.etag), set)).await.unwrap();
    assert_eq!(held(&ledger, &person(1)), only(Relation::Debtor), "until 2026-03-03, 24:00");
    assert_eq!(held(&ledger, &person(2)), RelationSet::EMPTY, "in grace until 2026-03-03, 24:00");
    assert_eq!(held(&ledger, &person(3)), only(Relation::Principal));
    ledger.shutdown();
    bench.clock.advance_ms(38 * 3_600_000);
    let ledger = bench.open();
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
    assert_eq!(held(&ledger, &person(2)), only(Relation::Debtor));
    assert_eq!(held(&ledger, &person(3)), RelationSet::EMPTY);
    let revision = ledger.position().revision;
    ledger.shutdown();
    assert_eq!(bench.open().position().revision, revision, "each falls due once");
}

#[tokio::test]
async fn a_term_that_is_over_by_either_clock_is_unsure_while_time_is_frozen() {
    let bench = Bench::new(5);
    let ledger = bench.open();
    let mut fixed = draft(person(1), 1);
    fixed.ground = 2;
    fixed.decision.as_mut().unwrap().term_months = 24;
    fixed.decision.as_mut().unwrap().date = "2024-03-03".into();
    publish(&ledger, "court-one", content(&fixed)).await;
    bench.clock.step_ms(3 * 86_400_000);
    let permit = lookup("bank", "credit.lending", None);
    let found = ledger.probe(&permit, &identity(&person(1)), RelationSet::ALL).unwrap();
    assert!(found.hit.clock_unsure && found.listings.is_empty());
    let (two, one) = (identity(&person(2)), identity(&person(1)));
    let missed = ledger.missed(&permit, [None, Some(&two), Some(&one), None].into_iter(), RelationSet::ALL);
    assert_eq!(missed, [false, true, false, false], "of whom nothing more is to be asked");
    eventually("the clock is frozen", || ledger.status().clock_frozen.then_some(()));
    let refused = ledger.submit(request(
        "court-one",
        "j-1",
        None,
        Command::Publish { listing: None, content: content(&draft(person(2), 2)), application: None },
    ));
    assert_eq!(refused.await.unwrap_err(), CommandError::ClockUnsure);
    remove(&ledger, "court-one", 1).await;
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY, "a lift goes through all the same");
}

#[tokio::test]
async fn an_exemption_frees_one_person_from_one_listing_to_the_second() {
    let bench = Bench::new(6);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", content(&draft(person(1), 1))).await;
    let permit = lookup("hotel", "consumption.hotel", Some("star_rated"));
    let exempt = |ledger: &Ledger| {
        let found = ledger.probe(&permit, &identity(&person(1)), RelationSet::ALL).unwrap();
        found.hit.exempt
    };
    let exemption = Exemption {
        identity: identity(&person(1)),
        measures: vec!["consumption.hotel".into()],
        items: vec![],
        from: Timestamp(start().0 + 1_000),
        until: Timestamp(start().0 + 3_000),
        ground: "illness".into(),
        approver: "president".into(),
    };
    let command = Command::Exempt { listing: one.listing, exemption: Box::new(exemption) };
    ledger.submit(request("court-one", "j-1", None, command)).await.unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.push(exempt(&ledger));
        bench.clock.advance_ms(1_000);
    }
    assert_eq!(seen, [false, true, true, false]);
    assert_eq!(held(&ledger, &person(1)), only(Relation::Debtor), "lending is no part of it");
}

#[tokio::test]
async fn a_rectified_identity_frees_the_old_and_catches_the_new() {
    let bench = Bench::new(7);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", content(&draft(person(1), 1))).await;
    let command = |staff: &'static str, etag| {
        let content = content(&draft(person(2), 1));
        request("court-one", staff, etag, Command::Rectify { listing: one.listing, content, note: None })
    };
    assert!(matches!(ledger.submit(command("j", None)).await, Err(CommandError::Faults(_))), "needs an etag");
    let stale = ledger.submit(command("j", Some(99))).await.unwrap_err();
    assert_eq!(stale, CommandError::StaleEtag { current: one.etag });
    ledger.submit(command("j", Some(one.etag))).await.unwrap();
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
    assert_eq!(held(&ledger, &person(2)), only(Relation::Debtor));
    assert_eq!(ledger.status().lift_seq, 1);
}

#[tokio::test]
async fn a_court_touches_its_own_listings_only_and_a_lift_is_never_stale() {
    let bench = Bench::new(8);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", content(&draft(person(1), 1))).await;
    let hide = |client| request(client, "j", Some(77), Command::Hide { listing: one.listing, ground: String::new() });
    assert_eq!(ledger.submit(hide("court-two")).await.unwrap_err(), CommandError::OtherCourt);
    let outcome = ledger.submit(hide("court-one")).await.unwrap();
    assert_eq!((outcome.state, outcome.stale, outcome.reason_owed), (State::Hidden, true, true));
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
    let again = Command::Publish { listing: None, content: content(&draft(person(1), 1)), application: None };
    let twice = ledger.submit(request("court-one", "j", None, again)).await.unwrap_err();
    assert_eq!(twice, CommandError::ListingExists { listing: one.listing });
}

#[tokio::test]
async fn a_repeated_request_gets_its_outcome_and_another_body_an_error() {
    let bench = Bench::new(9);
    let ledger = bench.open();
    let build = |case: u32, id| {
        let mut request = request(
            "court-one",
            "j",
            None,
            Command::Publish { listing: None, content: content(&draft(person(1), case)), application: None },
        );
        (request.request_id, request.body) = (id, case.to_string().into_bytes());
        request
    };
    let id = request_id(start());
    let (first, second) = tokio::join!(ledger.submit(build(1, id)), ledger.submit(build(1, id)));
    let (first, second) = (first.unwrap(), second.unwrap());
    assert_eq!((first.replayed, second.replayed, second.listing), (false, true, first.listing));
    assert_eq!(ledger.submit(build(2, id)).await.unwrap_err(), CommandError::RequestIdReused);
    ledger.shutdown();
    let ledger = bench.open();
    assert!(ledger.submit(build(1, id)).await.unwrap().replayed, "kept over a restart");
    let old = request_id(Timestamp(start().0 - OUTCOMES_KEPT_MS - 1));
    assert_eq!(ledger.submit(build(3, old)).await.unwrap_err(), CommandError::RequestIdExpired);
}

#[tokio::test]
async fn who_was_answered_is_kept_once_per_listing_and_changes_no_etag() {
    let bench = Bench::new(10);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", content(&draft(person(1), 1))).await;
    let bank: std::sync::Arc<str> = "bank".into();
    for _ in 0..3 {
        ledger.disclose(&bank, &[one.listing]).await.unwrap();
    }
    assert_eq!(ledger.position().revision, one.etag + 1);
    assert_eq!(ledger.disclosed_to(one.listing), ["bank"]);
    assert_eq!(ledger.inspect(|resident| resident.table.row(0).revision()), one.etag);
    assert_eq!(held(&ledger, &person(1)), only(Relation::Debtor));
}

/// Rows of a file, as the court's list.
async fn import(ledger: &Ledger, drafts: &[xinhub_domain::listing::Draft]) -> Vec<crate::RowOutcome> {
    let rows = drafts.iter().map(|draft| crate::ImportRow::Listing(content(draft))).collect();
    let batch = crate::ImportBatch {
        actor: actor("j-1"),
        dry_run: false,
        amend: false,
        as_of: start(),
        released: None,
        complete: None,
        rows,
    };
    ledger.import(court("court-one"), batch).await.unwrap()
}

#[tokio::test]
async fn a_case_number_is_not_corrected_in_place_so_that_an_old_file_revives_nothing() {
    let bench = Bench::new(11);
    let ledger = bench.open();
    let file = [draft(person(1), 1)];
    import(&ledger, &file).await;
    let etag = ledger.inspect(|resident| resident.table.row(0).revision());
    let mut other = content(&draft(person(1), 2));
    other.decision = content(&file[0]).decision;
    for command in [
        Command::Amend { listing: 1, content: other.clone() },
        Command::Rectify { listing: 1, content: other, note: None },
    ] {
        let refused = ledger.submit(request("court-one", "j", Some(etag), command)).await.unwrap_err();
        let CommandError::Faults(faults) = refused else { panic!("{refused:?}") };
        assert_eq!(faults[0].field, "content.case_number");
    }
    remove(&ledger, "court-one", 1).await;
    let again = import(&ledger, &file).await;
    assert!(matches!(again[0], crate::RowOutcome::Fault(crate::RowFault::Ended { listing: 1 })), "{again:?}");
    assert_eq!(held(&ledger, &person(1)), RelationSet::EMPTY);
}

#[tokio::test]
async fn a_relation_is_in_force_once_so_that_ending_it_frees() {
    let bench = Bench::new(12);
    let ledger = bench.open();
    let org = publish(&ledger, "court-one", content(&draft(organisation(1), 1))).await;
    let set = |until: &str, etag| {
        let relation = relation(person(5), Relation::Principal, until);
        request("court-one", "j", Some(etag), Command::SetRelation { listing: org.listing, relation })
    };
    let first = ledger.submit(set("", org.etag)).await.unwrap();
    for until in ["", "2026-12-31"] {
        let twice = ledger.submit(set(until, first.etag)).await.unwrap_err();
        let CommandError::Faults(faults) = twice else { panic!("{twice:?}") };
        assert_eq!(faults[0].field, "content.relation");
    }
    let row = |until: &str| crate::ImportRow::Relation {
        listing: crate::ListingRef::Number(org.listing),
        content: relation(person(5), Relation::Principal, until),
    };
    let rows = vec![row(""), row("2026-12-31")];
    let batch = crate::ImportBatch {
        actor: actor("j-1"),
        dry_run: false,
        amend: false,
        as_of: start(),
        released: None,
        complete: None,
        rows,
    };
    let outcomes = ledger.import(court("court-one"), batch).await.unwrap();
    assert!(matches!(outcomes[0], crate::RowOutcome::Unchanged { .. }), "{outcomes:?}");
    assert!(matches!(outcomes[1], crate::RowOutcome::Fault(_)), "{outcomes:?}");
    let end = Command::EndRelation { listing: org.listing, relation: first.record, basis_document: "doc".into() };
    ledger.submit(request("court-one", "j", None, end)).await.unwrap();
    assert_eq!(held(&ledger, &person(5)), RelationSet::EMPTY);
}

#[tokio::test]
async fn an_organisation_with_related_people_does_not_become_a_person() {
    let bench = Bench::new(13);
    let ledger = bench.open();
    let org = publish(&ledger, "court-one", content(&draft(organisation(1), 1))).await;
    let set = Command::SetRelation { listing: org.listing, relation: relation(person(5), Relation::Principal, "") };
    let set = ledger.submit(request("court-one", "j", Some(org.etag), set)).await.unwrap();
    let rectify = |etag| {
        let command = Command::Rectify { listing: org.listing, content: content(&draft(person(6), 1)), note: None };
        request("court-one", "j", Some(etag), command)
    };
    assert!(matches!(ledger.submit(rectify(set.etag)).await, Err(CommandError::Faults(_))));
    let end = Command::EndRelation { listing: org.listing, relation: set.record, basis_document: "doc".into() };
    let ended = ledger.submit(request("court-one", "j", None, end)).await.unwrap();
    ledger.submit(rectify(ended.etag)).await.unwrap();
    assert_eq!(held(&ledger, &person(6)), only(Relation::Debtor));
    assert_eq!(held(&ledger, &organisation(1)), RelationSet::EMPTY);
}

#[tokio::test]
async fn an_exemption_stays_the_debtors_when_the_identity_is_rectified() {
    let bench = Bench::new(14);
    let ledger = bench.open();
    let one = publish(&ledger, "court-one", content(&draft(person(1), 1))).await;
    let exemption = Exemption {
        identity: identity(&person(1)),
        measures: vec![],
        items: vec![],
        from: start(),
        until: Timestamp(start().0 + 86_400_000),
        ground: "funeral".into(),
        approver: "president".into(),
    };
    let exempt = Command::Exempt { listing: one.listing, exemption: Box::new(exemption) };
    let exempted = ledger.submit(request("court-one", "j", None, exempt)).await.unwrap();
    let rectify = Command::Rectify { listing: one.listing, content: content(&draft(person(2), 1)), note: None };
    ledger.submit(request("court-one", "j", Some(exempted.etag), rectify)).await.unwrap();
    let permit = lookup("bank", "credit.lending", None);
    let found = ledger.probe(&permit, &identity(&person(2)), RelationSet::ALL).unwrap();
    assert!(found.hit.exempt && found.listings.is_empty());
}
