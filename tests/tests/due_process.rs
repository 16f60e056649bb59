//! The way in and the way off the list, day by day: applications, objections, the court above, and what the clock brings.

#![allow(clippy::unwrap_used)]

use xinhub_tests::desk::{application, case_number, end_relation, loan, objection, rectify, remove, revoke, room};
use xinhub_tests::v1::{
    DeadlineStatus, ListingContent, ListingState as State, ObjectionGround as Ground, PartyRole as Role,
    PetitionState as Petition, Relation,
};
use xinhub_tests::{Code, Desk, Reason, Subject, Timed, parties, refused, timestamp, v1};

async fn court(hub: &Timed) -> Desk {
    hub.desk(parties::COURT).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creditor_s_application_leads_to_a_listing_or_is_refused_with_reasons() {
    let hub = Timed::start().await;
    let (court, unit, bank) = (court(&hub).await, hub.desk(parties::UNIT).await, hub.desk(parties::BANK).await);
    let (creditor, debtor, case) = (Subject::organisation(), Subject::person(), case_number());
    let filed = unit.file(0, application(&creditor, &debtor, &case)).await.unwrap();
    let clock = court.petition(filed.petition).await.unwrap().deadline.unwrap();
    assert_eq!((clock.clock.as_str(), clock.bearer.as_str()), ("decide_application", parties::LEIZHOU));
    assert_eq!((clock.since, clock.due), ("2026-03-02".to_owned(), "2026-03-17".to_owned()));
    let content = ListingContent { case_number: case.clone(), ..court.content_without_term(&debtor) };
    let early = court.publish(content.clone(), filed.petition).await;
    refused(early, Code::InvalidArgument, Reason::InvalidField);
    court.decide(filed.petition, true, None).await.unwrap();
    let noticed = ListingContent { decision: None, ground: 0, ..content.clone() };
    let served_on = court.days_ago(30);
    let request = v1::NoticeRequest { mutation: court.head(""), content: Some(noticed), served_on };
    let notice = court.client.registry().notice(request).await.unwrap().outcome.unwrap();
    assert!(!bank.is_adverse(loan(&debtor)).await, "a notice restricts nobody");
    let (listing, application_number) = (notice.listing, filed.petition);
    let mutation = court.head(&notice.etag);
    let request = v1::PublishRequest { mutation, listing, content: Some(content), application: application_number };
    let listed = court.client.registry().publish(request).await.unwrap().outcome.unwrap();
    assert_eq!((listed.state(), listed.listing), (State::Listed, listing));
    assert!(bank.is_adverse(loan(&debtor)).await);

    let refusal = unit.file(0, application(&creditor, &Subject::person(), &case_number())).await.unwrap();
    let refusal = court.decide(refusal.petition, false, None).await.unwrap();
    let read = unit.petition(refusal.petition).await.unwrap();
    assert_eq!((read.state(), read.deadline), (Petition::Dismissed, None));
    let step = read.steps.last().unwrap();
    assert_eq!((step.act.as_str(), step.reasons.as_str()), ("DecidePetition", "经审查"));
    assert_eq!(court.board().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_creditor_who_asked_for_removal_waits_six_months_to_apply_again() {
    let hub = Timed::start().await;
    let court = court(&hub).await;
    let (creditor, debtor, case) = (Subject::person(), Subject::person(), case_number());
    let apply = async || {
        let filed = court.file(0, application(&creditor, &debtor, &case)).await.unwrap();
        court.decide(filed.petition, true, None).await.unwrap();
        let content = ListingContent { case_number: case.clone(), ..court.content_without_term(&debtor) };
        court.publish(content, filed.petition).await
    };
    let listed = apply().await.unwrap();
    court.remove(listed.listing, "creditor_request").await.unwrap();
    refused(apply().await, Code::InvalidArgument, Reason::InvalidField);
    // 2026-09-02 is six months on; the day before is within them.
    hub.days_later(183).await;
    refused(apply().await, Code::InvalidArgument, Reason::InvalidField);
    hub.days_later(1).await;
    assert_eq!(apply().await.unwrap().state(), State::Listed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_objection_upheld_on_each_ground_frees_in_the_same_commit() {
    let hub = Timed::start().await;
    let (court, unit, bank) = (court(&hub).await, hub.desk(parties::UNIT).await, hub.desk(parties::BANK).await);
    let right = Subject::person();
    for ground in [Ground::ShouldNotBeListed, Ground::DataWrong, Ground::ShouldBeDeleted] {
        let debtor = Subject::person();
        let content = court.content_without_term(&debtor);
        let listed = court.publish(content.clone(), 0).await.unwrap();
        assert!(bank.is_adverse(loan(&debtor)).await);
        let filed = unit.file(listed.listing, objection(&debtor, Role::Debtor, ground)).await.unwrap();
        assert!(!filed.late);
        assert_eq!(filed.listing_state(), State::Unspecified, "a unit learns nothing of the listing by it");
        assert!(bank.is_adverse(loan(&debtor)).await, "nothing is stayed meanwhile");
        let without = court.decide(filed.petition, true, None).await;
        refused(without, Code::InvalidArgument, Reason::InvalidField);
        let corrected = ListingContent { identities: right.identities.clone(), name: right.name.clone(), ..content };
        let (redress, state) = match ground {
            Ground::DataWrong => (rectify(corrected, &listed.etag), State::Listed),
            Ground::ShouldBeDeleted => (remove("performed"), State::Removed),
            _ => (revoke(), State::Revoked),
        };
        let before = hub.revision();
        let upheld = court.decide(filed.petition, true, redress).await.unwrap();
        assert_eq!((upheld.state(), upheld.listing_state()), (Petition::Upheld, state));
        assert_eq!(hub.revision(), before + 2, "the finding and the lift");
        assert!(!bank.is_adverse(loan(&debtor)).await, "{ground:?}");
        assert_eq!(unit.petition(filed.petition).await.unwrap().deadline, None);
    }
    assert!(bank.is_adverse(loan(&right)).await, "whom the corrected data name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_court_above_upholds_what_was_dismissed_or_confirms_it() {
    let hub = Timed::start().await;
    let (court, above) = (court(&hub).await, hub.desk(parties::COURT_ABOVE).await);
    let (other, bank) = (hub.desk(parties::OTHER_COURT).await, hub.desk(parties::BANK).await);
    for upheld in [true, false] {
        let debtor = Subject::person();
        let listing = court.list(&debtor).await.listing;
        let content = objection(&debtor, Role::Debtor, Ground::ShouldNotBeListed);
        let petition = above.file(listing, content).await.unwrap().petition;
        refused(above.decide(petition, false, None).await, Code::NotFound, Reason::NotFound);
        refused(other.decide(petition, false, None).await, Code::NotFound, Reason::NotFound);
        court.decide(petition, false, None).await.unwrap();
        court.serve(petition, &court.days_ago(0)).await.unwrap();
        // The second time the tenth day is a Sunday, and Monday follows it.
        hub.days_later(if upheld { 10 } else { 12 }).await;
        let asked = court.ask_reconsideration(petition).await.unwrap();
        assert_eq!(asked.late, !upheld, "ten days, and a late request is taken all the same");
        let clock = above.petition(petition).await.unwrap().deadline.unwrap();
        let shown = (clock.clock.as_str(), clock.bearer.as_str(), clock.due);
        assert_eq!(shown, ("decide_reconsideration", parties::ZHANJIANG, court.in_days(15)));
        refused(court.reconsider(petition, true, revoke()).await, Code::NotFound, Reason::NotFound);
        let redress = if upheld { revoke() } else { None };
        let found = above.reconsider(petition, upheld, redress).await.unwrap();
        assert_eq!(found.state(), if upheld { Petition::Upheld } else { Petition::Confirmed });
        assert_eq!(bank.is_adverse(loan(&debtor)).await, !upheld);
        let again = court.ask_reconsideration(petition).await;
        refused(again, Code::FailedPrecondition, Reason::State);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_objection_is_taken_and_marked() {
    let hub = Timed::start().await;
    let (court, unit) = (court(&hub).await, hub.desk(parties::UNIT).await);
    let debtor = Subject::person();
    // Served five days ago: the tenth day after it is a Saturday, and the Monday after that is a week from now.
    let listing = court.list(&debtor).await.listing;
    hub.days_later(7).await;
    let object = || unit.file(listing, objection(&debtor, Role::Debtor, Ground::DataWrong));
    let in_time = object().await.unwrap();
    hub.days_later(1).await;
    let late = object().await.unwrap();
    assert_eq!((in_time.late, late.late), (false, true));
    let stranger = Subject::person();
    let not_me = unit.file(listing, objection(&stranger, Role::NotMe, Ground::DataWrong)).await.unwrap();
    assert!(!not_me.late, "who is not meant was never served");
    assert!(unit.petition(late.petition).await.unwrap().late);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn intake_is_refused_with_reasons_and_petitions_are_withdrawn() {
    let hub = Timed::start().await;
    let (court, unit) = (court(&hub).await, hub.desk(parties::UNIT).await);
    let above = hub.desk(parties::COURT_ABOVE).await;
    let (debtor, stranger) = (Subject::person(), Subject::person());
    let listing = court.list(&debtor).await.listing;
    let not_me = unit.file(listing, objection(&stranger, Role::NotMe, Ground::ShouldNotBeListed)).await.unwrap();
    let before = hub.revision();
    court.refuse_intake(not_me.petition, &court.days_ago(0)).await.unwrap();
    assert_eq!(hub.revision(), before + 1, "a refusal is an event");
    let read = unit.petition(not_me.petition).await.unwrap();
    assert_eq!((read.state(), read.steps[0].act.as_str()), (Petition::Refused, "RefuseIntake"));
    assert_eq!(read.steps[0].reasons, "材料不齐");
    unit.ask_reconsideration(not_me.petition).await.unwrap();
    let found = above.reconsider(not_me.petition, true, revoke()).await.unwrap();
    assert_eq!((found.state(), found.listing_state()), (Petition::Upheld, State::Revoked));

    let listing = court.list(&debtor).await.listing;
    let filed = unit.file(listing, objection(&debtor, Role::Debtor, Ground::DataWrong)).await.unwrap();
    assert_eq!(court.board().await.len(), 1);
    let withdrawn = unit.withdraw(filed.petition).await.unwrap();
    assert_eq!(withdrawn.state(), Petition::Withdrawn);
    assert_eq!(court.board().await, []);
    refused(court.decide(filed.petition, false, None).await, Code::FailedPrecondition, Reason::State);
    // To a client through which it did not come it is as if it were not there.
    let other = hub.desk(parties::OTHER_UNIT).await;
    refused(other.petition(filed.petition).await, Code::NotFound, Reason::NotFound);
    refused(other.withdraw(filed.petition).await, Code::NotFound, Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_related_person_who_left_office_is_free_at_the_next_answer() {
    let hub = Timed::start().await;
    let (court, hotel) = (court(&hub).await, hub.desk(parties::HOTEL).await);
    let (organisation, head) = (Subject::organisation(), Subject::person());
    let listed = court.list(&organisation).await;
    let related = court.relate(&listed, Relation::LegalRepresentative, &head).await;
    assert!(hotel.is_adverse(room(&head)).await);
    let content = objection(&head, Role::RelatedPerson, Ground::ShouldBeDeleted);
    let filed = court.file(listed.listing, content).await.unwrap();
    let upheld = court.decide(filed.petition, true, end_relation(related.record)).await.unwrap();
    assert_eq!((upheld.state(), upheld.listing_state()), (Petition::Upheld, State::Listed));
    assert!(!hotel.is_adverse(room(&head)).await);
    let bank = hub.desk(parties::BANK).await;
    assert!(bank.is_adverse(loan(&organisation)).await, "the organisation stays listed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exemption_begins_and_ends_to_the_second() {
    let hub = Timed::start().await;
    let (court, hotel) = (court(&hub).await, hub.desk(parties::HOTEL).await);
    let person = Subject::person();
    let listing = court.list(&person).await.listing;
    assert!(hotel.is_adverse(room(&person)).await);
    let now = hub.now().0 / 1_000;
    let content = v1::ExemptionContent {
        identity: Some(person.identity()),
        measures: vec!["consumption.hotel".to_owned()],
        from: Some(timestamp(now)),
        until: Some(timestamp(now + 3_600)),
        ground: "funeral".to_owned(),
        approver: "president-0001".to_owned(),
        ..Default::default()
    };
    let request = v1::ExemptRequest { mutation: court.head(""), listing, content: Some(content) };
    court.client.registry().exempt(request).await.unwrap();
    assert!(!hotel.is_adverse(room(&person)).await);
    hub.clock().advance_ms(3_599_000);
    hub.caught_up().await;
    assert!(!hotel.is_adverse(room(&person)).await, "its last second");
    hub.clock().advance_ms(1_000);
    hub.caught_up().await;
    assert!(hotel.is_adverse(room(&person)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_listings_one_ends_and_the_other_stays() {
    let hub = Timed::start().await;
    let (court, other) = (court(&hub).await, hub.desk(parties::OTHER_COURT).await);
    let bank = hub.desk(parties::BANK).await;
    let debtor = Subject::person();
    let ours = court.list(&debtor).await.listing;
    let theirs = other.list(&debtor).await.listing;
    court.remove(ours, "performed").await.unwrap();
    let answer = loan(&debtor).answer(&bank.client).await;
    assert_eq!(answer.listings, [theirs]);
    other.remove(theirs, "performed").await.unwrap();
    assert!(!bank.is_adverse(loan(&debtor)).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_falls_due_while_the_hub_is_down_is_recorded_once() {
    let mut hub = Timed::start().await;
    let desk = court(&hub).await;
    let (debtor, expiring) = (Subject::person(), Subject::person());
    let listing = desk.list(&debtor).await.listing;
    desk.publish(desk.content(&expiring), 0).await.unwrap();
    desk.file(listing, objection(&debtor, Role::Debtor, Ground::DataWrong)).await.unwrap();
    let before = hub.revision();
    hub.stop().await;
    hub.pass_days(3 * 366);
    hub.serve().await;
    // Before anybody calls: the term's end, and the review that is overdue.
    assert_eq!(hub.revision(), before + 2);
    let bank = hub.desk(parties::BANK).await;
    assert!(!bank.is_adverse(loan(&expiring)).await);
    assert!(bank.is_adverse(loan(&debtor)).await, "without a term");
    let desk = court(&hub).await;
    let overdue = |board: Vec<(String, String, DeadlineStatus)>| {
        assert_eq!(board, [("review".to_owned(), parties::LEIZHOU.to_owned(), DeadlineStatus::Overdue)]);
    };
    overdue(desk.board().await);
    let before = hub.revision();
    hub.stop().await;
    hub.pass_days(1);
    hub.serve().await;
    assert_eq!(hub.revision(), before, "nothing twice");
    overdue(court(&hub).await.board().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stepped_clock_freezes_time_and_no_lift_and_doubles_nothing() {
    let hub = Timed::start().await;
    let (court, bank) = (court(&hub).await, hub.desk(parties::BANK).await);
    let (debtor, freed) = (Subject::person(), Subject::person());
    let listing = court.list(&debtor).await.listing;
    let other = court.list(&freed).await.listing;
    court.file(listing, objection(&debtor, Role::Debtor, Ground::DataWrong)).await.unwrap();
    let before = hub.revision();
    hub.clock().step_ms(30 * 86_400_000);
    hub.caught_up().await;
    assert_eq!(hub.revision(), before, "nothing falls due on a clock that somebody has set");
    assert!(hub.status().await.clock_frozen);
    court.remove(other, "performed").await.unwrap();
    assert!(!bank.is_adverse(loan(&freed)).await);
    hub.clock().step_ms(-30 * 86_400_000);
    hub.caught_up().await;
    assert_eq!(hub.revision(), before + 1, "the lift alone");
    assert!(!hub.status().await.clock_frozen);
    hub.days_later(3).await;
    assert_eq!(hub.revision(), before + 1, "its last day is not over");
    hub.days_later(1).await;
    assert_eq!(hub.revision(), before + 2, "overdue, once");
    hub.days_later(30).await;
    assert_eq!(hub.revision(), before + 2);
}
