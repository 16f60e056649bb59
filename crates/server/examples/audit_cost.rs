//! What recording a call costs: time on the caller's thread, bytes on the disk, and syncs shared by waiting callers.
//!
//! `cargo run --release --example audit_cost -p xinhub-server [DIR]`, on a directory of the disk that matters.
#![allow(clippy::print_stdout, clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::Arc;

use xinhub_domain::decision::{AnswerReason, Verdict};
use xinhub_domain::identity::{Identity, Kind, Source, synthetic};
use xinhub_domain::measure::{Effect, Relation};
use xinhub_domain::policy::{Class, Method};
use xinhub_ledger::clock::{Clock, SystemClock};
use xinhub_ledger::keys::Keyring;
use xinhub_server::audit::{Audit, AuditItem, AuditSettings, Record, SubjectView};

const SOON: u64 = 400_000;
const DURABLE: u64 = 20_000;

fn item(verdict: Verdict, key: xinhub_domain::identity::KeyInput) -> AuditItem {
    let view = SubjectView {
        reason: AnswerReason::ListedDebtor,
        effect: Some(Effect::Prohibit),
        relation: Some(Relation::Debtor),
        open_condition: None,
    };
    let adverse = verdict.is_adverse();
    AuditItem {
        key: Some(key),
        verdict: Some(verdict),
        listings: if adverse { vec![4_711] } else { vec![] },
        subject_view: adverse.then_some(view).map(Box::new),
        ..AuditItem::default()
    }
}

fn record(measure: &str, item: AuditItem) -> Record {
    Record {
        caller: "bank-of-leizhou".into(),
        class: Some(Class::Bank),
        audit_class: "finance".into(),
        method: Method::Check,
        measure: Some(measure.into()),
        item: None,
        time: SystemClock.wall(),
        reference: "LOAN-2026-000778".into(),
        token: vec![1; 25],
        request_id: [3; 16],
        code: 0,
        items: vec![item],
    }
}

struct Meter {
    audit: Audit,
    bytes: u64,
    frames: u64,
    began_ms: u64,
}

impl Meter {
    fn begin(audit: &Audit) -> Meter {
        let status = audit.status();
        Meter { audit: audit.clone(), bytes: status.bytes, frames: status.frames, began_ms: SystemClock.boot_ms() }
    }

    fn report(self, what: &str, calls: u64) {
        let elapsed_ms = SystemClock.boot_ms() - self.began_ms;
        while self.audit.status().claimed > 0 {
            std::thread::yield_now();
        }
        let status = self.audit.status();
        let (bytes, frames) = (status.bytes - self.bytes, (status.frames - self.frames).max(1));
        println!(
            "{what}: {:.2} µs, {:.0} bytes a call; {:.0} calls a sync",
            elapsed_ms as f64 * 1_000.0 / calls as f64,
            bytes as f64 / calls as f64,
            calls as f64 / frames as f64
        );
    }
}

/// Records that nobody waits for: what each adds to the time of its own call.
fn soon(audit: &Audit, what: &str, measure: &str, key: xinhub_domain::identity::KeyInput) {
    let meter = Meter::begin(audit);
    let mut done = 0;
    while done < SOON {
        match audit.claim() {
            Ok(ticket) => {
                audit.record_soon(ticket, record(measure, item(Verdict::Clear, key))).unwrap();
                done += 1;
            }
            Err(_) => std::thread::yield_now(),
        }
    }
    meter.report(what, SOON);
}

fn main() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = std::env::args().nth(1).map_or_else(|| scratch.path().join("audit"), PathBuf::from);
    let settings = AuditSettings { queue_records: 1 << 20, queue_bytes: 1 << 30, ..AuditSettings::new(dir) };
    Audit::create(&settings).unwrap();
    let audit = Audit::open(&settings, Arc::new(Keyring::ephemeral()), Arc::new(SystemClock)).unwrap();
    let number = synthetic::resident_id("440882", jiff::civil::date(1980, 1, 2), 7);
    let today = SystemClock.wall().date();
    let identity = Identity::parse(Kind::ResidentId, &number, None, Source::LookerUp, today).unwrap();
    let key = identity.keys().next().unwrap();
    soon(&audit, "CLEAR, credit.lending", "credit.lending", key);
    soon(&audit, "CLEAR, consumption.hotel", "consumption.hotel", key);
    let runtime = tokio::runtime::Builder::new_multi_thread().build().unwrap();
    for tasks in [1, 16, 256] {
        let meter = Meter::begin(&audit);
        runtime.block_on(async {
            let waiting: Vec<_> = (0..tasks)
                .map(|_| {
                    let audit = audit.clone();
                    tokio::spawn(async move {
                        for _ in 0..DURABLE / tasks {
                            let adverse = record("credit.lending", item(Verdict::Consider, key));
                            audit.record_durable(audit.claim().unwrap(), adverse).await.unwrap();
                        }
                    })
                })
                .collect();
            for task in waiting {
                task.await.unwrap();
            }
        });
        meter.report(&format!("CONSIDER, {tasks} waiting at once"), DURABLE / tasks * tasks);
    }
    audit.shutdown();
}
