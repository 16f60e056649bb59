//! One hub and one replica, message by message: when the replica is level with the hub.

use std::sync::Arc;
use std::sync::atomic::AtomicI64;

use tempfile::TempDir;
use xinhub_client::ReplicaConfig;
use xinhub_client::simulated::Replica;
use xinhub_ledger::Clock;
use xinhub_server::service::simulated::Line;
use xinhub_tests::v1;

use super::court::Deed;
use super::hub::{self, BANK, Machine};
use super::network::{START, Turned};

/// More than any of the steps below has.
const EVENTS: usize = 100;

/// The court lists somebody, and both lines are told.
fn list(machine: &mut Machine, person: usize) {
    let mut request_id = [person as u8; 16];
    request_id[..6].copy_from_slice(&START.0.to_be_bytes()[2..]);
    let deed = Deed::List { person, case: person as u64 + 1 };
    machine.submit(deed.request(&hub::policy(false), request_id)).unwrap();
    let hub = machine.hub.as_mut().unwrap();
    for line in [Line::Changes, Line::Lifts] {
        if let Some(touched) = hub.touched(line, EVENTS).unwrap() {
            assert!(hub.tell(line, &touched));
        }
    }
}

/// A beat names what the feed tells; each replica is told of that in its turn, and so may have it a little later. It is level then, and has
/// not to wait for a beat that comes when nothing is under way: beside an import there is hardly one.
#[test]
fn what_a_beat_names_may_come_behind_it() {
    let clock = Arc::new(Turned { now_us: Arc::default(), permille: 1_000, set_ms: AtomicI64::new(0) });
    let mut machine = Machine::new(5, Arc::clone(&clock), None);
    list(&mut machine, 0);
    let dir = TempDir::new().unwrap();
    let config = ReplicaConfig::new(dir.path()).reach(v1::ReplicaReach::Exact);
    let mut replica = Replica::open(config, Arc::new(move || (clock.boot_ms(), clock.wall().0))).unwrap();
    let request = replica.connect();
    let hub = machine.hub.as_ref().unwrap();
    let manifest = machine.block_on(hub.manifest(BANK.0, &request)).unwrap();
    if let Some(fetch) = replica.begin(manifest).unwrap() {
        let chunk = hub.chunk(BANK.0, &fetch, 1 << 20).unwrap();
        assert!(replica.fetched(&chunk).unwrap());
    }
    let (open_lifts, open_changes) = replica.follow().unwrap();
    let mut lifts = hub.lifts(BANK.0, open_lifts).unwrap();
    let mut changes = hub.changes(BANK.0, open_changes).unwrap();
    replica.lifts(lifts.opened()).unwrap();

    list(&mut machine, 1);
    let hub = machine.hub.as_ref().unwrap();
    assert!(lifts.tell(hub, EVENTS).unwrap().is_none(), "a listing is no lift");
    lifts.take(replica.ping().unwrap()).unwrap();
    replica.lifts(lifts.beat(hub).unwrap()).unwrap();
    assert!(replica.is_leased());
    let state = replica.state();
    assert!(!state.synced && state.hub_revision > state.revision, "{state:?}");
    let batch = changes.tell(hub, EVENTS).unwrap().unwrap();
    replica.changes(batch).unwrap();
    let state = replica.state();
    assert!(state.synced && state.heard_ms > 0 && state.hub_revision == state.revision, "{state:?}");
}
