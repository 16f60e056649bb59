//! No adverse answer without a record of it, and no record that keeps more than it may.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use jiff::civil::date;
use xinhub_domain::decision::{AnswerReason, Verdict as Said};
use xinhub_domain::identity::{Identity, Kind, Source};
use xinhub_ledger::keys::Keyring;
use xinhub_server::audit::{AuditId, AuditReader, Call, Coarse, Entry};
use xinhub_tests::v1::{AnswerReason as Why, Verdict};
use xinhub_tests::wait::{until, within};
use xinhub_tests::{Ask, Code, Error, Hub, Reason, Subject, parties, refused, v1};

const LOAN: &str = "credit.lending";
const ROOM: &str = "consumption.hotel";

/// The whole audit log of a hub that doesn't run.
struct Records {
    reader: AuditReader,
    calls: Vec<(u32, Call)>,
    coarse: Vec<Coarse>,
}

impl Records {
    fn read(hub: &Hub) -> Records {
        let keys = Arc::new(Keyring::load(&hub.dir().join("keys")).unwrap());
        let reader = AuditReader::inspect(&hub.data_dir().join("audit"), keys).unwrap();
        let (mut calls, mut coarse) = (Vec::new(), Vec::new());
        for entry in reader.entries().unwrap() {
            match entry.unwrap() {
                (key_epoch, Entry::Call(call)) => calls.push((key_epoch, *call)),
                (_, Entry::Coarse(call)) => coarse.push(call),
                (_, Entry::Gap(gap)) => panic!("nothing was full: {gap:?}"),
                (_, Entry::Reported(reported)) => panic!("nobody keeps a replica: {reported:?}"),
            }
        }
        Records { reader, calls, coarse }
    }

    fn of(&self, caller: &str, method: &str) -> Vec<&(u32, Call)> {
        self.calls.iter().filter(|(_, call)| call.caller == caller && call.method == method).collect()
    }

    /// Whether the first inquiry of a call was about this subject.
    fn is_about(&self, record: &(u32, Call), subject: &Subject) -> bool {
        let kind = if subject.number().starts_with('9') { Kind::Uscc } else { Kind::ResidentId };
        let today = date(2026, 1, 1);
        let identity = Identity::parse(kind, subject.number(), None, Source::LookerUp, today).unwrap();
        let mut keys = identity.keys();
        keys.any(|key| record.1.digest(0) == self.reader.digest(record.0, &record.1, &key))
    }
}

#[tokio::test]
async fn a_call_leaves_what_its_kind_may_keep() {
    let mut hub = Hub::start().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    let hotel = hub.client(parties::HOTEL).await;
    let (debtor, guest) = (Subject::person(), Subject::person());
    let listed = court.list(&debtor).await;
    let room = |subject| Ask::about(subject, ROOM).item("star_rated");
    Ask::about(&guest, LOAN).reference("loan 1").answer(&bank).await;
    let restricted = room(&debtor).answer(&hotel).await;
    room(&guest).expect(&hotel, Verdict::Clear, Why::NotListed).await;
    refused(Ask::about(&guest, LOAN).response(&hotel).await, Code::PermissionDenied, Reason::MeasureNotGranted);
    let inquiries = [&debtor, &guest].map(|subject| Ask::about(subject, LOAN).into_inquiry()).to_vec();
    let request = v1::BatchCheckRequest { measure: LOAN.to_owned(), inquiries, ..Default::default() };
    bank.lookup().batch_check(request).await.unwrap();
    let stranger = hub.client(parties::STRANGER).await;
    refused(Ask::about(&guest, LOAN).response(&stranger).await, Code::PermissionDenied, Reason::UnknownClient);
    hub.stop().await;

    let records = Records::read(&hub);
    let loan = records.of(parties::BANK, "Check");
    assert_eq!(loan.len(), 1);
    let call = &loan[0].1;
    assert_eq!(
        (call.measure.as_deref(), call.reference.as_str(), call.verdict(0)),
        (Some(LOAN), "loan 1", Some(Said::Clear))
    );
    assert!(records.is_about(loan[0], &guest) && !records.is_about(loan[0], &debtor));
    // Of a clear stay: who asked, for what, in which hour. Whom it was about is nowhere.
    let stays: Vec<_> = records.coarse.iter().map(|one| (&*one.caller, &*one.measure, one.clear)).collect();
    assert_eq!(stays, [(parties::HOTEL, ROOM, 1)]);
    assert_eq!(records.coarse[0].hour.0 % 3_600_000, 0);
    let about_hotel = records.of(parties::HOTEL, "Check");
    assert!(about_hotel.iter().all(|record| !records.is_about(record, &guest)));
    let stay = about_hotel.iter().find(|(_, call)| call.verdict(0) == Some(Said::Restricted)).unwrap();
    assert!(records.is_about(stay, &debtor));
    assert_eq!(AuditId::from_bytes(stay.1.id).to_string(), restricted.slip.unwrap().reference);
    let view = records.reader.subject_view(stay.0, &stay.1, listed.listing).unwrap();
    assert_eq!(view.reason, AnswerReason::ListedDebtor);
    let denied = about_hotel.iter().filter(|(_, call)| call.code == Code::PermissionDenied as i32);
    assert_eq!(denied.count(), 1);
    // A batch is one record with digest and verdict for each.
    let batch = records.of(parties::BANK, "BatchCheck");
    assert_eq!(batch.len(), 1);
    assert_eq!([batch[0].1.verdict(0), batch[0].1.verdict(1)], [Some(Said::Consider), Some(Said::Clear)]);
    assert!(records.is_about(batch[0], &debtor) && batch[0].1.digest(1).is_some());
    assert_eq!(records.of(parties::COURT, "Publish").len(), 1);
    assert_eq!(records.of(parties::STRANGER, "Check").len(), 1, "one who is nobody's client is on record too");
}

/// What is not adverse leaves at once, and its record follows within 100 ms by itself: neither a later adverse answer, nor an
/// orderly stop, brings it to disk here. Of a kill before that nothing is promised.
#[tokio::test]
async fn what_is_not_adverse_is_on_record_shortly_after() {
    let mut hub = Hub::start().await;
    let (bank, hotel) = (hub.client(parties::BANK).await, hub.client(parties::HOTEL).await);
    let subject = Subject::person();
    let loan = Ask::about(&subject, LOAN).reference("loan 2");
    loan.expect(&bank, Verdict::Clear, Why::NotListed).await;
    Ask::about(&subject, ROOM).item("star_rated").expect(&hotel, Verdict::Clear, Why::NotListed).await;
    refused(Ask::about(&subject, LOAN).response(&hotel).await, Code::PermissionDenied, Reason::MeasureNotGranted);
    // By itself. How soon is not what is tried here: other work may hold up the hub.
    hub.until_records_wait(0).await;
    hub.kill();
    // A torn tail is cut when the hub starts.
    hub.serve().await;
    hub.stop().await;
    let records = Records::read(&hub);
    let of_bank = records.of(parties::BANK, "Check");
    assert_eq!(of_bank.len(), 1, "the clear answer is not on record");
    let call = &of_bank[0].1;
    assert_eq!((call.reference.as_str(), call.verdict(0)), ("loan 2", Some(Said::Clear)));
    assert!(records.is_about(of_bank[0], &subject));
    let of_hotel: Vec<_> = records.of(parties::HOTEL, "Check").iter().map(|record| record.1.code).collect();
    assert_eq!(of_hotel, [Code::PermissionDenied as i32], "the refusal is not on record");
    let stays: Vec<_> = records.coarse.iter().map(|one| (&*one.caller, &*one.measure, one.clear)).collect();
    assert_eq!(stays, [(parties::HOTEL, ROOM, 1)], "the clear stay is not on record");
}

/// Asks until the hub is gone, and counts the answers; returns the slips that were handed out, with the listing that each
/// rests on.
async fn ask_until_gone(
    hotel: xinhub_client::Hub,
    debtors: Vec<(Subject, u64)>,
    answers: Arc<AtomicUsize>,
) -> BTreeMap<String, u64> {
    let mut slips = BTreeMap::new();
    loop {
        for (subject, listing) in &debtors {
            let ask = Ask::about(subject, ROOM).item("star_rated");
            match hotel.lookup().within(Duration::from_secs(2)).check(ask.request()).await {
                Ok(response) => {
                    let answer = response.answer.unwrap();
                    assert_eq!(answer.verdict(), Verdict::Restricted);
                    slips.insert(answer.slip.unwrap().reference, *listing);
                    answers.fetch_add(1, Relaxed);
                }
                Err(Error::Connection(_) | Error::Deadline(_)) => return slips,
                Err(error) => panic!("{error:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_adverse_answer_is_on_record_after_kills() {
    let mut hub = Hub::start().await;
    let court = hub.court().await;
    let mut debtors = Vec::new();
    for _ in 0..10 {
        let subject = Subject::person();
        let listing = court.list(&subject).await.listing;
        debtors.push((subject, listing));
    }
    let mut slips = BTreeMap::new();
    for _ in 0..10 {
        let mut asking = tokio::task::JoinSet::new();
        let answers = Arc::new(AtomicUsize::new(0));
        for _ in 0..6 {
            asking.spawn(ask_until_gone(hub.client(parties::HOTEL).await, debtors.clone(), Arc::clone(&answers)));
        }
        // While the next ones are under way.
        until("they are answered", || async { (answers.load(Relaxed) >= 20).then_some(()) }).await;
        hub.kill();
        for handed_out in within(asking.join_all()).await {
            slips.extend(handed_out);
        }
        hub.serve().await;
    }
    hub.kill();
    // A torn tail is cut when the hub starts.
    hub.serve().await;
    hub.stop().await;
    let records = Records::read(&hub);
    let recorded: BTreeMap<String, &(u32, Call)> =
        records.calls.iter().map(|record| (AuditId::from_bytes(record.1.id).to_string(), record)).collect();
    for (slip, listing) in &slips {
        let record = recorded.get(slip).unwrap_or_else(|| panic!("{slip} of {} is not on record", slips.len()));
        assert_eq!((record.1.caller.as_str(), record.1.verdict(0)), (parties::HOTEL, Some(Said::Restricted)));
        assert!(records.reader.subject_view(record.0, &record.1, *listing).is_some());
    }
    assert!(slips.len() >= 200, "{} slips", slips.len());
}
