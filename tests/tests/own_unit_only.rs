//! An entry that only the subject's own unit may be shown: to everybody else the hub is as if it did not exist.

#![allow(clippy::unwrap_used)]

use std::fmt::Debug;

use prost::Message;
use xinhub_domain::policy::permissions::{Demand, TABLE};
use xinhub_domain::policy::{Class, Method};
use xinhub_tests::desk::{complaint, objection};
use xinhub_tests::v1::report_request::Report;
use xinhub_tests::v1::{DutyState, HandledReport, ListingContent, ObjectionGround, PartyRole, Visibility};
use xinhub_tests::{Ask, Code, Desk, Reason, Subject, Timed, parties, raw, refused, v1};

/// The number that the hidden entry has in one hub, and nothing has in its twin.
const HIDDEN: u64 = 2;

/// Who asks about whom.
struct Probe<'a> {
    desk: &'a Desk,
    subject: &'a Subject,
}

/// What each class may ask.
fn question(class: Class, subject: &Subject) -> Ask {
    let ask = |measure| Ask::about(subject, measure);
    match class {
        Class::Court => ask("supervision.inspection"),
        Class::Unit => ask("consumption.building"),
        Class::Bank | Class::CreditBureau => ask("credit.lending"),
        Class::Insurer => ask("consumption.insurance"),
        Class::Hotel => ask("consumption.hotel").item("star_rated"),
        Class::TravelAgency => ask("consumption.outbound-tour").item("group_outbound"),
        Class::Ticketing => ask("consumption.rail-air").item("flight"),
        Class::ProcurementPlatform => ask("procurement.supplier"),
        // They ask for nobody.
        Class::Auditor | Class::Operator => ask("credit.lending"),
    }
}

impl Probe<'_> {
    fn message(&self, class: Class, method: Method) -> Vec<u8> {
        let head = || self.desk.head("");
        let check = question(class, self.subject).request();
        match method {
            Method::Check => check.encode_to_vec(),
            Method::CheckStream => v1::CheckStreamRequest { correlation_id: 7, check: Some(check) }.encode_to_vec(),
            Method::BatchCheck => {
                let inquiries = check.inquiry.into_iter().collect();
                let (measure, item) = (check.measure, check.item);
                v1::BatchCheckRequest { measure, item, inquiries, ..Default::default() }.encode_to_vec()
            }
            Method::GetListing => v1::GetListingRequest { listing: HIDDEN, consistency: None }.encode_to_vec(),
            Method::FilePetition => {
                let content = objection(self.subject, PartyRole::Debtor, ObjectionGround::DataWrong);
                let (court, content) = (String::new(), Some(content));
                v1::FilePetitionRequest { mutation: head(), listing: HIDDEN, court, content }.encode_to_vec()
            }
            Method::Report => {
                let report = Some(Report::Handled(HandledReport { note: "x".to_owned() }));
                v1::ReportRequest { mutation: head(), listing: HIDDEN, report }.encode_to_vec()
            }
            Method::EndRelation => {
                let (relation, basis_document) = (1, "x".to_owned());
                v1::EndRelationRequest { mutation: head(), listing: HIDDEN, relation, basis_document }.encode_to_vec()
            }
            Method::GetPetition => v1::GetPetitionRequest { petition: 1 }.encode_to_vec(),
            Method::DecidePetition => {
                let (mutation, petition, reasons) = (head(), 1, "x".to_owned());
                let request = v1::DecidePetitionRequest { mutation, petition, reasons, ..Default::default() };
                request.encode_to_vec()
            }
            Method::WithdrawPetition => {
                let (mutation, petition, reasons) = (head(), 1, "x".to_owned());
                v1::WithdrawPetitionRequest { mutation, petition, reasons }.encode_to_vec()
            }
            _ if method.writes() => {
                // What every other mutation begins with: its head, and a number.
                v1::HideRequest { mutation: head(), listing: HIDDEN, ground: String::new() }.encode_to_vec()
            }
            _ => Vec::new(),
        }
    }
}

fn shown<M: Message + Default + Debug>(bytes: &[u8], strip: impl FnOnce(&mut M)) -> String {
    let mut message = M::decode(bytes).unwrap();
    strip(&mut message);
    format!("{message:?}")
}

/// An answer without what every event moves: revision, tokens, hashes, and ids of records.
fn comparable(method: Method, bytes: &[u8]) -> String {
    match method {
        Method::Check => shown::<v1::CheckResponse>(bytes, |m| m.position = None),
        Method::BatchCheck => shown::<v1::BatchCheckResponse>(bytes, |m| m.position = None),
        Method::CheckStream => shown::<v1::CheckStreamResponse>(bytes, |m| {
            if let Some(v1::check_stream_response::Result::Response(one)) = &mut m.result {
                one.position = None;
            }
        }),
        Method::ListListings => shown::<v1::ListListingsResponse>(bytes, |m| m.position = None),
        Method::ListPetitions => shown::<v1::ListPetitionsResponse>(bytes, |m| m.position = None),
        Method::ListDeadlines => shown::<v1::ListDeadlinesResponse>(bytes, |m| m.position = None),
        Method::ListDuties => shown::<v1::ListDutiesResponse>(bytes, |m| m.position = None),
        Method::ListMeasures => shown::<v1::ListMeasuresResponse>(bytes, |m| m.position = None),
        Method::ListAnnouncements => shown::<v1::ListAnnouncementsResponse>(bytes, |m| m.position = None),
        Method::GetStatistics => shown::<v1::GetStatisticsResponse>(bytes, |m| m.position = None),
        Method::GetManifest => shown::<v1::GetManifestResponse>(bytes, |m| {
            // Each hub has keys of its own; how many entries there are, and their bytes, stay.
            (m.key, m.verifier_key) = Default::default();
            if let Some(snapshot) = &mut m.snapshot {
                let (bytes, entries) = (snapshot.bytes, snapshot.entries);
                *snapshot = v1::Snapshot { bytes, entries, ..Default::default() };
            }
        }),
        Method::GetStatus => shown::<v1::GetStatusResponse>(bytes, |m| {
            (m.position, m.revision, m.detail_revision) = (None, 0, 0);
            (m.epoch, m.chain_hash, m.verifier_key) = Default::default();
        }),
        _ => format!("{bytes:?}"),
    }
}

/// Both hubs hold one listing; one of them holds the hidden entry too.
async fn hub(subject: Option<&Subject>, known: &Subject) -> Timed {
    let hub = Timed::start().await;
    let court = hub.desk(parties::COURT).await;
    court.list(known).await;
    if let Some(subject) = subject {
        let content = ListingContent {
            visibility: Visibility::OwnUnitOnly.into(),
            own_unit: parties::OTHER_UNIT.to_owned(),
            ..court.content_without_term(subject)
        };
        assert_eq!(court.publish(content, 0).await.unwrap().listing, HIDDEN);
        for number in [1, HIDDEN] {
            let content = objection(subject, PartyRole::Debtor, ObjectionGround::ShouldBeDeleted);
            assert_eq!(court.file(HIDDEN, content).await.unwrap().petition, number);
        }
    }
    hub.details_caught_up().await;
    hub
}

/// The numbers of a scrape that are about the hub's content.
fn counts(metrics: &str) -> Vec<String> {
    let about = [
        "xinhub_listings",
        "xinhub_listing_table_bytes",
        "xinhub_index_keys",
        "xinhub_index_bytes",
        "xinhub_detail_cache_bytes",
        "xinhub_deadlines",
    ];
    let lines = metrics.lines().filter(|line| about.iter().any(|name| line.starts_with(name)));
    let mut counts: Vec<String> = lines.map(str::to_owned).collect();
    // A scrape is in no order.
    counts.sort_unstable();
    counts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_to_everybody_else_is_that_of_a_hub_without_the_entry() {
    let (subject, known) = (Subject::person(), Subject::person());
    let (with, without) = (hub(Some(&subject), &known).await, hub(None, &known).await);
    let desk = with.desk(parties::COURT).await;
    let probe = Probe { desk: &desk, subject: &subject };
    let (mut compared, mut answered) = (0, 0);
    for class in Class::ALL {
        let client = if *class == Class::Court { parties::OTHER_COURT } else { parties::of_class(*class) };
        let [first, second] =
            [raw::connect(&with, client).await.unwrap(), raw::connect(&without, client).await.unwrap()];
        for row in TABLE.iter().filter(|row| row.demand != Demand::Session) {
            let (method, message) = (row.method, probe.message(*class, row.method));
            let mut found = Vec::new();
            for channel in [&first, &second] {
                let answer = raw::call(channel, method.path(), message.clone()).await;
                answered += u32::from(answer.is_ok());
                let answer = answer.map(|bytes| comparable(method, &bytes));
                found.push(answer.map_err(|status| (status.code(), status.message().to_owned())));
            }
            assert_eq!(found[0], found[1], "{} × {class}", method.path());
            compared += 1;
        }
    }
    assert!(compared > 400 && answered > 100, "{compared} compared, {answered} answered");
    // Also once the notice is overdue.
    for hub in [&with, &without] {
        hub.days_later(20).await;
        assert_eq!(hub.desk(parties::AUDITOR).await.board().await, []);
    }
    let metrics = [with.metrics_text().await, without.metrics_text().await];
    assert_eq!(counts(&metrics[0]), counts(&metrics[1]));
    assert!(counts(&metrics[0]).len() > 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn its_court_and_the_unit_named_see_it_and_the_unit_reports_it_handled() {
    let subject = Subject::person();
    let hub = hub(Some(&subject), &Subject::person()).await;
    let (court, unit) = (hub.desk(parties::COURT).await, hub.desk(parties::OTHER_UNIT).await);
    let get = || v1::GetListingRequest { listing: HIDDEN, consistency: None };
    for desk in [&court, &unit] {
        let read = desk.client.lookup().get_listing(get()).await.unwrap().listing.unwrap();
        assert_eq!((read.listing, read.content.unwrap().name == subject.name), (HIDDEN, true));
    }
    let duties = unit.duties().await;
    let shown: Vec<_> = duties.iter().map(|duty| (duty.listing, duty.clock.as_str(), duty.state())).collect();
    assert_eq!(shown, [(HIDDEN, "handle_notice", DutyState::Open)]);
    assert_eq!(court.board().await.len(), 3, "the notice, and two objections");
    // Not even the own unit's lookups find it.
    let ask = Ask::about(&subject, "supervision.inspection");
    assert!(!unit.is_adverse(ask).await);
    let handled = || Report::Handled(HandledReport { note: "已谈话".to_owned() });
    assert_eq!(unit.report(HIDDEN, handled()).await.unwrap(), DutyState::Closed);
    assert_eq!(unit.duties().await[0].closed_by, "handled");
    refused(unit.report(HIDDEN, handled()).await, Code::NotFound, Reason::NotFound);
    refused(hub.desk(parties::UNIT).await.report(HIDDEN, handled()).await, Code::NotFound, Reason::NotFound);
    // A complaint about it is taken in by its court alone.
    court.remove(HIDDEN, "performed").await.unwrap();
    let filed = hub.desk(parties::UNIT).await.file(HIDDEN, complaint(&subject, parties::BANK)).await;
    refused(filed, Code::NotFound, Reason::NotFound);
}
