//! What a lift opens for those who acted on a listing, until each has closed its own.

#![allow(clippy::unwrap_used)]

use xinhub_tests::desk::{complaint, loan, room};
use xinhub_tests::v1::report_request::Report;
use xinhub_tests::v1::{
    AcknowledgedReport, DeadlineStatus as Status, DutyState as Duty, ImposedReport, LiftedReport, PetitionState,
    RetainedReport,
};
use xinhub_tests::{Ask, Code, Desk, Reason, Subject, Timed, parties, refused, v1};

fn supplier(subject: &Subject) -> Ask {
    Ask::about(subject, "procurement.supplier")
}

fn imposed(desk: &Desk, measure: &str) -> Report {
    Report::Imposed(ImposedReport { measure: measure.to_owned(), item: String::new(), on: desk.days_ago(0) })
}

fn lifted(desk: &Desk) -> Report {
    Report::Lifted(LiftedReport { on: desk.days_ago(0), note: "已解除".to_owned() })
}

fn acknowledged() -> Report {
    Report::Acknowledged(AcknowledgedReport {})
}

fn owed(clock: &str, bearer: &str, status: Status) -> (String, String, Status) {
    (clock.to_owned(), bearer.to_owned(), status)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn performed_and_removed_everybody_who_was_told_closes_its_own_duty() {
    let hub = Timed::start().await;
    let (court, hotel) = (hub.desk(parties::COURT).await, hub.desk(parties::HOTEL).await);
    let (bank, shop) = (hub.desk(parties::BANK).await, hub.desk(parties::PROCUREMENT).await);
    let debtor = Subject::person();
    let listed = court.list(&debtor).await;
    let listing = listed.listing;
    for (desk, ask) in [(&bank, loan(&debtor)), (&hotel, room(&debtor)), (&shop, supplier(&debtor))] {
        assert!(desk.is_adverse(ask).await);
        assert_eq!(desk.duties().await, [], "nothing is owed while it is in force");
    }
    // The plain bank asked for nobody: it owes nothing, and learns of nothing.
    let plain = hub.desk(parties::PLAIN_BANK).await;
    refused(plain.report(listing, acknowledged()).await, Code::NotFound, Reason::NotFound);
    shop.report(listing, imposed(&shop, "procurement.supplier")).await.unwrap();
    let performed_on = court.days_ago(0);
    let mutation = court.head(&listed.etag);
    let request = v1::RecordPerformanceRequest { mutation, listing, performed_on, note: String::new() };
    court.client.registry().record_performance(request).await.unwrap();
    assert_eq!(court.board().await, [owed("remove", parties::LEIZHOU, Status::Running)]);
    hub.days_later(4).await;
    assert_eq!(court.board().await, [owed("remove", parties::LEIZHOU, Status::Overdue)]);

    court.remove(listing, "performed").await.unwrap();
    let lift = |bearer, status| owed("lift_measures", bearer, status);
    let clients = [parties::BANK, parties::HOTEL, parties::PROCUREMENT];
    assert_eq!(court.board().await, clients.map(|client| lift(client, Status::Running)));
    for desk in [&bank, &hotel, &shop] {
        let duties = desk.duties().await;
        let shown: Vec<_> = duties.iter().map(|duty| (duty.listing, duty.state(), duty.due.clone())).collect();
        assert_eq!(shown, [(listing, Duty::Open, court.in_days(3))]);
        assert_eq!(desk.board().await.len(), 1, "its own and nobody else's");
    }
    // A machine's word closes what nothing was imposed for, without an actor.
    let mutation = hotel.head("").map(|head| v1::Mutation { actor: None, ..head });
    let report = Some(acknowledged());
    let request = v1::ReportRequest { mutation, listing, report };
    let closed = hotel.client.measures().report(request).await.unwrap();
    assert_eq!(closed.duty_state(), Duty::Closed);
    assert_eq!(bank.report(listing, acknowledged()).await.unwrap(), Duty::Closed);
    // What was imposed is lifted by somebody.
    refused(shop.report(listing, acknowledged()).await, Code::InvalidArgument, Reason::InvalidField);
    hub.days_later(4).await;
    assert_eq!(court.board().await, [lift(parties::PROCUREMENT, Status::Overdue)]);
    assert_eq!(shop.duties().await[0].state(), Duty::Overdue);
    assert_eq!(shop.report(listing, lifted(&shop)).await.unwrap(), Duty::Closed);
    assert_eq!(shop.duties().await[0].closed_by, "lifted");
    assert_eq!(court.board().await, []);
    assert_eq!(hub.desk(parties::OPERATOR).await.board().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_retains_sees_it_alone_and_owes_it_again_at_its_end() {
    let hub = Timed::start().await;
    let (court, bank) = (hub.desk(parties::COURT).await, hub.desk(parties::BANK).await);
    let (shop, operator) = (hub.desk(parties::PROCUREMENT).await, hub.desk(parties::OPERATOR).await);
    let debtor = Subject::person();
    let listing = court.list(&debtor).await.listing;
    assert!(bank.is_adverse(loan(&debtor)).await && shop.is_adverse(supplier(&debtor)).await);
    bank.report(listing, imposed(&bank, "credit.lending")).await.unwrap();
    let retained = Report::Retained(RetainedReport {
        measure: "credit.lending".to_owned(),
        legal_basis: "商业银行法第三十五条".to_owned(),
        until: bank.in_days(30),
        notified_on: bank.days_ago(0),
    });
    let while_in_force = bank.report(listing, retained.clone()).await;
    refused(while_in_force, Code::InvalidArgument, Reason::InvalidField);
    court.remove(listing, "performed").await.unwrap();
    assert_eq!(bank.report(listing, retained).await.unwrap(), Duty::Closed);
    assert_eq!(shop.report(listing, acknowledged()).await.unwrap(), Duty::Closed);
    // The hub's answer is the law's, not the unit's.
    assert!(!bank.is_adverse(loan(&debtor)).await);
    let kept = bank.duties().await.remove(0).own_retention;
    assert_eq!((kept.len(), kept[0].measure.as_str(), &kept[0].until), (1, "credit.lending", &bank.in_days(30)));
    assert!(shop.duties().await.iter().all(|duty| duty.own_retention.is_empty()), "shown to that unit alone");
    assert_eq!(operator.board().await, []);
    hub.days_later(30).await;
    assert_eq!(operator.board().await, [], "its last day is not over");
    hub.days_later(1).await;
    assert_eq!(operator.board().await, [owed("lift_measures", parties::BANK, Status::Running)]);
    let last = bank.duties().await.pop().unwrap();
    assert_eq!((last.state(), last.own_retention.len()), (Duty::Open, 0));
    hub.days_later(4).await;
    assert_eq!(operator.board().await, [owed("lift_measures", parties::BANK, Status::Overdue)]);
    assert_eq!(bank.report(listing, lifted(&bank)).await.unwrap(), Duty::Closed);
    assert_eq!(operator.board().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_complaint_has_its_clock_and_stands_on_the_board_until_it_is_answered() {
    let hub = Timed::start().await;
    let (court, bank) = (hub.desk(parties::COURT).await, hub.desk(parties::BANK).await);
    let (unit, operator) = (hub.desk(parties::UNIT).await, hub.desk(parties::OPERATOR).await);
    let debtor = Subject::person();
    let listing = court.list(&debtor).await.listing;
    let content = || complaint(&debtor, parties::BANK);
    refused(unit.file(listing, content()).await, Code::InvalidArgument, Reason::InvalidField);
    court.remove(listing, "performed").await.unwrap();
    let filed = unit.file(listing, content()).await.unwrap().petition;
    let answer = |status| [owed("answer_complaint", parties::BANK, status)];
    assert_eq!(bank.board().await, answer(Status::Running));
    refused(court.decide(filed, true, None).await, Code::NotFound, Reason::NotFound);
    // Three working days from Monday: Thursday.
    hub.days_later(3).await;
    assert_eq!(operator.board().await, answer(Status::Due));
    hub.days_later(1).await;
    assert_eq!(operator.board().await, answer(Status::Overdue));
    assert!(hub.metrics_text().await.contains("clock=\"answer_complaint\",state=\"overdue\"} 1"));
    let answered = bank.decide(filed, true, None).await.unwrap();
    assert_eq!(answered.state(), PetitionState::Upheld);
    assert_eq!(operator.board().await, []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lift_without_a_reason_owes_one_until_a_fitting_one_is_given() {
    let hub = Timed::start().await;
    let (court, bank) = (hub.desk(parties::COURT).await, hub.desk(parties::BANK).await);
    let debtor = Subject::person();
    let listing = court.list(&debtor).await.listing;
    assert!(court.remove(listing, "").await.unwrap().reason_owed);
    assert!(!bank.is_adverse(loan(&debtor)).await, "never delayed by form");
    let reason = |status| [owed("give_reason", parties::LEIZHOU, status)];
    assert_eq!(court.board().await, reason(Status::Running));
    // Early deletion is for a fixed term, and this listing had none.
    for unfitting in ["because", "early_deletion"] {
        let given = court.give_reason(listing, unfitting).await;
        refused(given, Code::InvalidArgument, Reason::InvalidField);
        assert_eq!(court.board().await, reason(Status::Running), "{unfitting}");
    }
    hub.days_later(4).await;
    assert_eq!(court.board().await, reason(Status::Overdue));
    court.give_reason(listing, "performed").await.unwrap();
    assert_eq!(court.board().await, []);
    refused(court.give_reason(listing, "performed").await, Code::NotFound, Reason::NotFound);
}
