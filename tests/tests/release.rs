//! The way in: two people, a risk notice, and what was decided before the court went live.

#![allow(clippy::unwrap_used)]

use xinhub_client::Error;
use xinhub_domain::import::Mode;
use xinhub_tests::court::{actor, clerk, content, related};
use xinhub_tests::desk::{Desk, loan, objection, rectify};
use xinhub_tests::file::{Form, Row, current_row, row, send_listings};
use xinhub_tests::subject::days_ago;
use xinhub_tests::v1::{ListingBar as Bar, ListingContent, ListingState as State, MutationOutcome, Verdict};
use xinhub_tests::{Ask, Code, Court, Hub, Reason, Setup, Subject, Timed, parties, refused, shared, v1};

const LOAN: &str = "credit.lending";

async fn is_listed(bank: &xinhub_client::Hub, subject: &Subject) -> bool {
    Ask::about(subject, LOAN).answer(bank).await.verdict() == Verdict::Consider
}

async fn propose(court: &Court, content: ListingContent) -> v1::MutationOutcome {
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let request = v1::ProposeRequest { mutation, content: Some(content), ..Default::default() };
    court.client.registry().propose(request).await.unwrap().outcome.unwrap()
}

async fn approve(court: &Court, staff_id: &str, proposed: &v1::MutationOutcome) -> Result<State, xinhub_client::Error> {
    let mutation = Some(xinhub_client::mutation(actor(staff_id, "judge"), Some(proposed.etag.clone())));
    let request = v1::ApproveRequest { mutation, listing: proposed.listing };
    let outcome = court.client.registry().approve(request).await?.outcome;
    Ok(outcome.unwrap().state())
}

#[tokio::test]
async fn a_proposal_waits_for_another_of_the_courts_signers() {
    let mut hub = Hub::start_with(Setup { release: "two", ..Setup::default() }).await;
    // As a policy that leaves it out.
    let policy = parties::policy("two").replace("release = \"two\"\n", "");
    hub.put_policy(&policy).await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let debtor = Subject::person();
    refused(court.publish(content(&debtor)).await, Code::FailedPrecondition, Reason::Release);
    let proposed = propose(&court, content(&debtor)).await;
    for staff_id in [clerk().staff_id.as_str(), "judge-0001"] {
        let asked = approve(&court, staff_id, &proposed).await;
        refused(asked, Code::PermissionDenied, Reason::SecondPersonRequired);
    }
    assert!(!is_listed(&bank, &debtor).await);
    hub.kill_and_restart().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    assert_eq!(approve(&court, parties::SIGNER, &proposed).await.unwrap(), State::Listed);
    assert!(is_listed(&bank, &debtor).await);
    // A signer is no second person to its own proposal.
    let policy = policy.replace("signers = [", &format!("signers = [\"{}\", ", clerk().staff_id));
    hub.put_policy(&policy).await;
    let says = content(&Subject::person());
    let second = propose(&court, says.clone()).await;
    let own = approve(&court, &clerk().staff_id, &second).await;
    refused(own, Code::PermissionDenied, Reason::SecondPersonRequired);
    // Nor once another has changed a trifle of it.
    let trifle = ListingContent { area: "雷州".to_owned(), ..says };
    let mutation = Some(xinhub_client::mutation(actor("clerk-0002", "clerk"), Some(second.etag)));
    let request = v1::AmendRequest { mutation, listing: second.listing, content: Some(trifle) };
    let second = court.client.registry().amend(request).await.unwrap().outcome.unwrap();
    for staff_id in [clerk().staff_id.as_str(), "clerk-0002"] {
        let own = approve(&court, staff_id, &second).await;
        refused(own, Code::PermissionDenied, Reason::SecondPersonRequired);
    }
    assert_eq!(approve(&court, parties::SECOND_SIGNER, &second).await.unwrap(), State::Listed);
    // Whoever lifts needs nobody else.
    assert_eq!(court.remove(proposed.listing).await.unwrap().state(), State::Removed);
    assert!(!is_listed(&bank, &debtor).await);
}

fn without_notice(subject: &Subject) -> Row {
    let mut row = current_row(subject);
    row.remove("noticeServedDate");
    row
}

#[tokio::test]
async fn no_row_of_a_current_file_lists_without_a_notice() {
    let hub = shared().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let [given, none, late, noticed] = [(); 4].map(|()| Subject::person());
    let rows = [current_row(&given), without_notice(&none), current_row(&late), without_notice(&noticed)];
    let mut rows = rows.to_vec();
    rows[2].insert("noticeServedDate", days_ago(29));
    let case_number = rows[3]["caseCode"].clone();
    let content = ListingContent { decision: None, ground: 0, case_number, ..content(&noticed) };
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let notice = v1::NoticeRequest { mutation, content: Some(content), served_on: days_ago(60) };
    let notice = court.client.registry().notice(notice).await.unwrap().outcome.unwrap();
    let file = Form { mode: Mode::Current, ..Form::default() }.listings(&rows);
    let imported = send_listings(&court.client, &file).await.unwrap();
    assert_eq!(imported.counts(), (2, 0, 0, 2), "{:?}", imported.faults);
    let (column, reason) = ("noticeServedDate", Reason::InvalidField);
    assert_eq!(imported.places(), [(4, column, reason), (5, column, reason)]);
    for (subject, listed) in [(&given, true), (&none, false), (&late, false), (&noticed, true)] {
        assert_eq!(is_listed(&bank, subject).await, listed);
    }
    hub.details_caught_up().await;
    let listing = court.read(notice.listing).await.unwrap();
    assert_eq!((listing.state(), listing.attested), (State::Listed, false));
    assert_eq!(listing.content.unwrap().notice_served_on, days_ago(60), "as it was recorded");
    let again = send_listings(&court.client, &file).await.unwrap();
    assert_eq!(again.counts(), (0, 0, 2, 2), "{:?}", again.faults);
}

#[tokio::test]
async fn a_migration_brings_what_was_decided_before_going_live_alone() {
    let hub = Hub::start().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let (before, since) = (Subject::person(), Subject::person());
    let mut rows = [row(&before), row(&since)];
    rows[0].insert("publishDate", days_ago(51));
    rows[1].insert("publishDate", days_ago(50));
    let file = Form::default().listings(&rows);
    let go_live = |line: &str| parties::policy("one").replace("go_live = 2099-01-01\n", line);
    hub.put_policy(&go_live("")).await;
    refused(send_listings(&court.client, &file).await, Code::InvalidArgument, Reason::ImportFile);
    assert!(!is_listed(&bank, &before).await);
    hub.put_policy(&go_live(&format!("go_live = {}\n", days_ago(50)))).await;
    let imported = send_listings(&court.client, &file).await.unwrap();
    assert_eq!(imported.counts(), (1, 0, 0, 1), "{:?}", imported.faults);
    assert_eq!(imported.places(), [(4, "publishDate", Reason::InvalidField)]);
    assert_eq!((is_listed(&bank, &before).await, is_listed(&bank, &since).await), (true, false));
    hub.details_caught_up().await;
    let answer = Ask::about(&before, LOAN).answer(&bank).await;
    assert!(court.read(answer.listings[0]).await.unwrap().attested, "marked as what it is");
}

/// What is wrong with a content: in words, as done to it, and as refused.
type Wrong = (&'static str, fn(&mut ListingContent), Reason);

fn on_ground_1(subject: &Subject, bars: &[Bar]) -> ListingContent {
    let mut content = ListingContent { ground: 1, ..content(subject) };
    content.decision.as_mut().unwrap().term_months = 0;
    content.bars = bars.iter().map(|bar| i32::from(*bar)).collect();
    content
}

#[tokio::test]
async fn what_the_law_refuses_is_refused_under_both_profiles() {
    let hub = Hub::start().await;
    let changes: [Wrong; 6] = [
        ("no notice", |c| c.notice_served_on.clear(), Reason::InvalidField),
        ("a notice after the decision", |c| c.notice_served_on = days_ago(29), Reason::InvalidField),
        ("no decision", |c| c.decision = None, Reason::InvalidField),
        ("no reasons", |c| c.decision.as_mut().unwrap().reasons.clear(), Reason::InvalidField),
        ("no basis document", |c| c.basis_document.clear(), Reason::InvalidField),
        ("a minor", |c| *c = content(&Subject::minor()), Reason::Minor),
    ];
    for profile in ["leizhou", "spc-2017"] {
        let policy = parties::policy("one").replace("go_live", &format!("profile = \"{profile}\"\ngo_live"));
        hub.put_policy(&policy).await;
        let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
        for (what, change, reason) in changes {
            let mut content = content(&Subject::person());
            change(&mut content);
            let refusal = court.publish(content).await.expect_err(what);
            assert_eq!(refusal.reason(), Some(reason), "{profile}: {what}: {refusal}");
        }
        for bar in [Bar::SecurityGiven, Bar::SeizedCoversDebt, Bar::LaterInOrder, Bar::NotAbleButRefuses] {
            let barred = court.publish(on_ground_1(&Subject::person(), &[bar])).await;
            refused(barred, Code::InvalidArgument, Reason::InvalidField);
        }
        // What was found when the notice was given stands against the decision, also where the decision is silent on it.
        let debtor = Subject::person();
        let found = ListingContent { decision: None, ground: 0, ..on_ground_1(&debtor, &[Bar::SecurityGiven]) };
        let mutation = || Some(xinhub_client::mutation(clerk(), None));
        let request = v1::NoticeRequest { mutation: mutation(), content: Some(found.clone()), served_on: days_ago(60) };
        let notice = court.client.registry().notice(request).await.unwrap().outcome.unwrap();
        let publish = async |etag: &str| {
            let mutation = Some(xinhub_client::mutation(clerk(), Some(etag.to_owned())));
            let content = Some(ListingContent { case_number: found.case_number.clone(), ..on_ground_1(&debtor, &[]) });
            let request = v1::PublishRequest { mutation, listing: notice.listing, content, ..Default::default() };
            court.client.registry().publish(request).await
        };
        refused(publish(&notice.etag).await, Code::InvalidArgument, Reason::InvalidField);
        assert!(!is_listed(&bank, &debtor).await);
        let gone = ListingContent { bars: Vec::new(), ..found.clone() };
        let amended = court.amend(notice.listing, &notice.etag, gone).await.unwrap();
        publish(&amended.etag).await.unwrap();
        assert!(is_listed(&bank, &debtor).await);
    }
}

/// What restricts somebody further than before, once a listing has begun.
#[derive(Clone, Copy, Debug)]
enum Change {
    RectifyIdentity,
    RectifyTerm,
    Restore,
    SetRelation,
    Extend,
    EndExemption,
}

const CHANGES: [Change; 6] = [
    Change::RectifyIdentity,
    Change::RectifyTerm,
    Change::Restore,
    Change::SetRelation,
    Change::Extend,
    Change::EndExemption,
];

/// Who is named as the second person in vain, and what is answered; the actor is [`Desk::head`]'s.
const IN_VAIN: [(&str, Code, Reason); 3] = [
    ("", Code::FailedPrecondition, Reason::Release),
    ("judge-0001", Code::PermissionDenied, Reason::SecondPersonRequired),
    ("judge-0009", Code::PermissionDenied, Reason::SecondPersonRequired),
];

/// A listing that may be changed, with an exemption of its subject.
struct Released {
    listing: u64,
    etag: String,
    content: ListingContent,
    exemption: u64,
}

fn head(court: &Desk, etag: &str, approver: &str) -> Option<v1::Mutation> {
    let approver = (!approver.is_empty()).then(|| actor(approver, "president"));
    court.head(etag).map(|head| v1::Mutation { approver, ..head })
}

/// Proposed by one, released by another, in force.
async fn released(court: &Desk, subject: &Subject) -> Released {
    let (registry, content) = (court.client.registry(), court.content(subject));
    let request = v1::ProposeRequest { mutation: court.head(""), content: Some(content.clone()), ..Default::default() };
    let proposed = registry.propose(request).await.unwrap().outcome.unwrap();
    let by_signer = court.head(&proposed.etag).map(|head| {
        let actor = Some(actor(parties::SECOND_SIGNER, "president"));
        v1::Mutation { actor, ..head }
    });
    let request = v1::ApproveRequest { mutation: by_signer, listing: proposed.listing };
    let approved = registry.approve(request).await.unwrap().outcome.unwrap();
    assert_eq!(approved.state(), State::Listed);
    let at = |hours: i64| Some(xinhub_tests::timestamp(court.now().0 / 1_000 + hours * 3_600));
    let exempted = v1::ExemptionContent {
        identity: Some(subject.identity()),
        measures: vec![LOAN.to_owned()],
        from: at(-1),
        until: at(24),
        ground: "illness".to_owned(),
        approver: "president-0001".to_owned(),
        ..Default::default()
    };
    let mutation = head(court, "", "");
    let request = v1::ExemptRequest { mutation, listing: approved.listing, content: Some(exempted) };
    let exempted = registry.exempt(request).await.unwrap().outcome.unwrap();
    Released { listing: approved.listing, etag: exempted.etag, content, exemption: exempted.record }
}

async fn hide(court: &Desk, listing: u64) -> String {
    let request = v1::HideRequest { mutation: court.head(""), listing, ground: "settlement".to_owned() };
    court.client.registry().hide(request).await.unwrap().outcome.unwrap().etag
}

async fn apply(court: &Desk, change: Change, on: &Released, approver: &str) -> Result<MutationOutcome, Error> {
    let (registry, listing, mutation) = (court.client.registry(), on.listing, head(court, &on.etag, approver));
    let outcome = match change {
        Change::RectifyIdentity | Change::RectifyTerm => {
            let mut content = on.content.clone();
            if let Change::RectifyTerm = change {
                // On ground 1 a listing stands until it is lifted.
                content.ground = 1;
                content.decision.as_mut().unwrap().term_months = 0;
            } else {
                content.identities.push(Subject::organisation().identity());
            }
            let request = v1::RectifyRequest { mutation, listing, content: Some(content), note: String::new() };
            registry.rectify(request).await?.outcome
        }
        Change::Restore => {
            let decision = on.content.decision.clone();
            registry.restore(v1::RestoreRequest { mutation, listing, decision }).await?.outcome
        }
        Change::SetRelation => {
            let content = Some(related(v1::Relation::Principal, &Subject::person()));
            registry.set_relation(v1::SetRelationRequest { mutation, listing, content }).await?.outcome
        }
        Change::Extend => {
            let ground = "several_acts".to_owned();
            registry.extend(v1::ExtendRequest { mutation, listing, months: 12, ground }).await?.outcome
        }
        Change::EndExemption => {
            let exemption = on.exemption;
            registry.end_exemption(v1::EndExemptionRequest { mutation, listing, exemption }).await?.outcome
        }
    };
    Ok(outcome.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_restricts_further_takes_a_second_person_of_the_court() {
    for release in ["two", "one"] {
        let hub = Timed::start_with(release).await;
        let court = hub.desk(parties::COURT).await;
        for change in CHANGES {
            let mut on = released(&court, &Subject::organisation()).await;
            if let Change::Restore = change {
                on.etag = hide(&court, on.listing).await;
            }
            if release == "one" {
                assert!(apply(&court, change, &on, "").await.is_ok(), "{change:?} under one");
                continue;
            }
            let before = hub.revision();
            for (approver, code, reason) in IN_VAIN {
                let refusal = apply(&court, change, &on, approver).await.expect_err(approver);
                assert_eq!((refusal.code(), refusal.reason()), (code, Some(reason)), "{change:?} by {approver}");
            }
            assert_eq!(hub.revision(), before, "{change:?}: nothing has changed");
            apply(&court, change, &on, parties::SIGNER).await.unwrap();
            assert_eq!(hub.revision(), before + 1, "{change:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_frees_takes_nobody_else_and_is_not_refused_for_whom_it_names() {
    let hub = Timed::start_with("two").await;
    let (court, bank) = (hub.desk(parties::COURT).await, hub.desk(parties::BANK).await);
    let registry = court.client.registry();
    let [first, second] = [(); 2].map(|()| Subject::organisation());
    let both = Subject { identities: [&first.identities[..], &second.identities[..]].concat(), ..first.clone() };
    for named in ["", "judge-0001"] {
        let on = released(&court, &both).await;
        let related = apply(&court, Change::SetRelation, &on, parties::SIGNER).await.unwrap();
        let (listing, relation) = (on.listing, related.record);
        let mutation = head(&court, &related.etag, named);
        let mut narrowed = ListingContent { identities: first.identities.clone(), ..on.content.clone() };
        // A day earlier, and so is the end of the term.
        narrowed.decision.as_mut().unwrap().date = court.days_ago(7);
        let request = v1::RectifyRequest { mutation, listing, content: Some(narrowed), note: String::new() };
        registry.rectify(request).await.unwrap();
        assert!(!bank.is_adverse(loan(&second)).await);
        let (mutation, basis_document) = (head(&court, "", named), "变更登记".to_owned());
        let request = v1::EndRelationRequest { mutation, listing, relation, basis_document };
        registry.end_relation(request).await.unwrap();
        let request = v1::HideRequest { mutation: head(&court, "", named), listing, ground: "settlement".to_owned() };
        assert_eq!(registry.hide(request).await.unwrap().outcome.unwrap().state(), State::Hidden);
        let request = v1::RevokeRequest { mutation: head(&court, "", named), listing, ground: "error".to_owned() };
        assert_eq!(registry.revoke(request).await.unwrap().outcome.unwrap().state(), State::Revoked);
        // Over: a correction reaches nobody any more, and what is no act of the court keeps no second person.
        let request = v1::DeferViewRequest {
            mutation: head(&court, "", named),
            listing,
            ground: "impedes_duty".to_owned(),
            until: court.in_days(3),
        };
        let deferred = court.client.audit().defer_view(request).await;
        if named.is_empty() {
            deferred.unwrap();
        } else {
            refused(deferred, Code::InvalidArgument, Reason::InvalidField);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upheld_objection_catches_nobody_by_one_persons_word() {
    let hub = Timed::start_with("two").await;
    let (court, above) = (hub.desk(parties::COURT).await, hub.desk(parties::COURT_ABOVE).await);
    let bank = hub.desk(parties::BANK).await;
    for by_court_above in [false, true] {
        let [wrong, right] = [(); 2].map(|()| Subject::organisation());
        let on = released(&court, &wrong).await;
        let ended = apply(&court, Change::EndExemption, &on, parties::SIGNER).await.unwrap();
        let content = objection(&wrong, v1::PartyRole::Debtor, v1::ObjectionGround::DataWrong);
        let petition = court.file(on.listing, content).await.unwrap().petition;
        if by_court_above {
            court.decide(petition, false, None).await.unwrap();
            court.serve(petition, &court.days_ago(0)).await.unwrap();
            court.ask_reconsideration(petition).await.unwrap();
        }
        let etag = court.petition(petition).await.unwrap().etag;
        let corrected =
            ListingContent { identities: right.identities.clone(), name: right.name.clone(), ..on.content.clone() };
        let uphold = async |approver: &str| {
            let (reasons, redress) = ("查证属实".to_owned(), rectify(corrected.clone(), &ended.etag));
            let (upheld, served_on) = (true, String::new());
            if by_court_above {
                let mutation = head(&above, &etag, approver);
                let request =
                    v1::DecideReconsiderationRequest { mutation, petition, upheld, reasons, served_on, redress };
                above.client.remedy().decide_reconsideration(request).await.map(|found| found.outcome.unwrap())
            } else {
                let mutation = head(&court, &etag, approver);
                let request = v1::DecidePetitionRequest { mutation, petition, upheld, reasons, served_on, redress };
                court.client.remedy().decide_petition(request).await.map(|found| found.outcome.unwrap())
            }
        };
        let before = hub.revision();
        for (approver, code, reason) in IN_VAIN {
            refused(uphold(approver).await, code, reason);
        }
        assert_eq!(hub.revision(), before);
        assert_eq!((bank.is_adverse(loan(&wrong)).await, bank.is_adverse(loan(&right)).await), (true, false));
        let before = hub.revision();
        if by_court_above {
            refused(uphold(parties::SIGNER).await, Code::PermissionDenied, Reason::SecondPersonRequired);
        }
        let signer = if by_court_above { parties::SIGNER_ABOVE } else { parties::SIGNER };
        let found = uphold(signer).await.unwrap();
        assert_eq!((found.state(), hub.revision()), (v1::PetitionState::Upheld, before + 2), "in one commit");
        assert_eq!((bank.is_adverse(loan(&wrong)).await, bank.is_adverse(loan(&right)).await), (false, true));
    }
}
