//! What becomes of an adverse answer while it waits for its record.

use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Waker};
use std::time::Duration;

use xinhub_api::convert::timestamp_to;
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{self, Verdict};
use xinhub_domain::time::Timestamp;

use super::ask;
use super::bench::{Bench, POLICY, content, head, inquiry, subject};
use crate::audit;

const HOUR_MS: u64 = 3_600_000;

async fn by_check(bench: &Bench, nth: u16) -> Verdict {
    let checked = bench.lookup("hotel").check(ask("consumption.hotel", "star_rated", nth)).await;
    checked.unwrap().into_inner().answer.unwrap().verdict()
}

/// Beside somebody who is on no list.
async fn by_batch(bench: &Bench, nth: u16) -> Verdict {
    let inquiries = vec![inquiry(nth), inquiry(900)];
    let request = v1::BatchCheckRequest { measure: "credit.lending".into(), inquiries, ..Default::default() };
    let answered = bench.lookup("bank").batch_check(request).await.unwrap().into_inner();
    let verdicts = answered.results.into_iter().map(|one| match one.result.unwrap() {
        ItemResult::Answer(answer) => answer.verdict(),
        ItemResult::Error(error) => panic!("{error:?}"),
    });
    let verdicts: Vec<Verdict> = verdicts.collect();
    assert_eq!(verdicts[1], Verdict::Clear);
    verdicts[0]
}

fn is_adverse(verdict: Verdict) -> bool {
    matches!(verdict, Verdict::Restricted | Verdict::Consider)
}

/// An adverse answer waits for its record; the lift that is acknowledged meanwhile wins. The two are raced many times, at every
/// distance from each other: no answer that arrives after the acknowledgement speaks against the freed.
#[tokio::test]
async fn no_adverse_answer_leaves_after_the_lift_is_acknowledged() {
    let bench = Bench::new().await;
    for round in 0..60_u16 {
        let listing = bench.list(round + 1).await;
        let lifted = AtomicBool::new(false);
        let delay = Duration::from_micros(u64::from(round % 20) * 50);
        let lift = async {
            tokio::time::sleep(delay).await;
            let remove = v1::RemoveRequest { mutation: head("", "a"), listing, ground: "performed".into() };
            bench.registry("court").remove(remove).await.unwrap();
            lifted.store(true, Ordering::SeqCst);
        };
        let stands = |verdict| !(is_adverse(verdict) && lifted.load(Ordering::SeqCst));
        let check = async {
            let verdict = by_check(&bench, round + 1).await;
            assert!(stands(verdict), "check, round {round}");
        };
        let batch = async {
            let verdict = by_batch(&bench, round + 1).await;
            assert!(stands(verdict), "batch, round {round}");
        };
        tokio::join!(lift, check, batch);
    }
}

/// What two people are answered, by a check and in a batch, whose records wait for the disk while so much time passes.
async fn waiting_for(bench: &Bench, people: [u16; 2], ms: u64) -> [Verdict; 2] {
    // Whoever is told for the first time waits for the journal too, and its writer then writes what has ended.
    let before = [by_check(bench, people[0]).await, by_batch(bench, people[1]).await];
    assert_eq!(before, [Verdict::Restricted, Verdict::Consider]);
    let (syncing, go_on) = bench.audit_disk.hold_syncs();
    let mut check = pin!(by_check(bench, people[0]));
    let mut batch = pin!(by_batch(bench, people[1]));
    let mut idle = Context::from_waker(Waker::noop());
    assert!(check.as_mut().poll(&mut idle).is_pending() && batch.as_mut().poll(&mut idle).is_pending());
    syncing.recv_timeout(Duration::from_secs(60)).unwrap();
    bench.clock.advance_ms(ms);
    drop(go_on);
    let after = [check.await, batch.await];
    // What was decided first was adverse, and is on record.
    let is_adverse =
        |call: &audit::Call| [Verdict::Restricted, Verdict::Consider].iter().any(|one| call.verdicts[0] == *one as u8);
    assert_eq!(bench.calls().iter().filter(|call| is_adverse(call)).count(), 4);
    after
}

#[tokio::test]
async fn no_adverse_answer_leaves_after_the_term_that_it_rests_on() {
    // Clients must outlive the term.
    let bench = Bench::with(&POLICY.replace("expires = 2027", "expires = 2029")).await;
    for nth in [1, 2] {
        let mut content = content(nth);
        let decision = content.decision.as_mut().unwrap();
        (content.ground, decision.term_months, decision.served_on) = (2, 24, "2026-02-01".into());
        let request = v1::PublishRequest { mutation: head("", "a"), content: Some(content), ..Default::default() };
        bench.registry("court").publish(request).await.unwrap();
    }
    let after = waiting_for(&bench, [1, 2], 2 * 365 * 24 * HOUR_MS).await;
    assert!(!after.iter().any(|one| is_adverse(*one)), "{after:?}");
}

#[tokio::test]
async fn no_adverse_answer_leaves_after_an_exemption_has_begun() {
    let bench = Bench::new().await;
    for nth in [1, 2] {
        let listing = bench.list_only(nth).await;
        let now = bench.hub.clock.wall();
        let at = |ms: u64| Some(timestamp_to(Timestamp(now.0 + i64::try_from(ms).unwrap())));
        let content = v1::ExemptionContent {
            identity: Some(subject(nth)),
            from: at(HOUR_MS),
            until: at(24 * HOUR_MS),
            ground: "illness".into(),
            approver: "president-1".into(),
            ..v1::ExemptionContent::default()
        };
        let request = v1::ExemptRequest { mutation: head("", "a"), listing, content: Some(content) };
        bench.registry("court").exempt(request).await.unwrap();
    }
    assert_eq!(waiting_for(&bench, [1, 2], 2 * HOUR_MS).await, [Verdict::Clear; 2]);
}
