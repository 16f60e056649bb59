//! Connections: in each direction messages keep their order, and come late.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use prost::Message;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Clock;
use xinhub_server::service::simulated::{ChangeStream, LiftStream};
use xinhub_tests::v1;
use xinhub_tests::v1::follow_changes_request::Message as ChangesIn;
use xinhub_tests::v1::follow_changes_response::Message as ChangesOut;
use xinhub_tests::v1::follow_lifts_request::Message as LiftsIn;
use xinhub_tests::v1::follow_lifts_response::Message as LiftsOut;

/// The beginning, 2026-03-02, 10:00 in Shanghai: nothing falls due while a life lasts.
pub(crate) const START: Timestamp = Timestamp(1_772_416_800_000);
/// When the boot clocks began.
const BOOT_MS: u64 = 1_000_000;
/// Messages that wait for a reader: more are not made.
pub(crate) const AHEAD: usize = 24;

/// A clock that goes at a rate of its own, and is set.
#[derive(Debug)]
pub(crate) struct Turned {
    pub(crate) now_us: Arc<AtomicU64>,
    pub(crate) permille: u64,
    pub(crate) set_ms: AtomicI64,
}

impl Turned {
    /// The true time in which this clock goes on by so much.
    pub(crate) fn us(&self, ms: u64) -> u64 {
        ms * 1_000_000 / self.permille
    }
}

impl Clock for Turned {
    fn wall(&self) -> Timestamp {
        let gone = i64::try_from(self.boot_ms() - BOOT_MS).unwrap();
        Timestamp(START.0 + gone + self.set_ms.load(Ordering::SeqCst))
    }

    fn boot_ms(&self) -> u64 {
        BOOT_MS + self.now_us.load(Ordering::SeqCst) * self.permille / 1_000_000
    }
}

/// What a replica sends.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    Manifest(v1::GetManifestRequest),
    Fetch(v1::FetchChunksRequest),
    Lifts(v1::FollowLiftsRequest),
    Changes(v1::FollowChangesRequest),
    Closed,
}

/// What a hub sends.
#[derive(Clone, Debug)]
pub(crate) enum Down {
    Manifest(Box<v1::GetManifestResponse>),
    Chunk(v1::FetchChunksResponse),
    Lifts(v1::FollowLiftsResponse),
    Changes(v1::FollowChangesResponse),
    Closed,
}

impl Up {
    /// What follows from the seed: a chain hash goes over sealed bodies, whose keys are another each time.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut told = self.clone();
        match &mut told {
            Up::Lifts(v1::FollowLiftsRequest { message: Some(LiftsIn::Open(open)) }) => open.chain.clear(),
            Up::Changes(v1::FollowChangesRequest { message: Some(ChangesIn::Open(open)) }) => open.chain.clear(),
            _ => {}
        }
        match told {
            Up::Manifest(message) => message.encode_to_vec(),
            Up::Fetch(message) => message.encode_to_vec(),
            Up::Lifts(message) => message.encode_to_vec(),
            Up::Changes(message) => message.encode_to_vec(),
            Up::Closed => Vec::new(),
        }
    }
}

impl Down {
    /// Whether the hub can't lead a replica on from where it is.
    pub(crate) fn sends_away(&self) -> bool {
        let resync = match self {
            Down::Lifts(v1::FollowLiftsResponse { message: Some(LiftsOut::Resync(resync)) })
            | Down::Changes(v1::FollowChangesResponse { message: Some(ChangesOut::Resync(resync)) }) => resync,
            _ => return false,
        };
        resync.reason() == v1::ResyncReason::Position
    }

    /// As [`Up::bytes`].
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut told = self.clone();
        match &mut told {
            Down::Manifest(manifest) => manifest.snapshot.iter_mut().for_each(|snapshot| snapshot.chain.clear()),
            Down::Changes(v1::FollowChangesResponse { message: Some(ChangesOut::Batch(batch)) }) => batch.chain.clear(),
            _ => {}
        }
        match told {
            Down::Manifest(message) => message.encode_to_vec(),
            Down::Chunk(message) => message.encode_to_vec(),
            Down::Lifts(message) => message.encode_to_vec(),
            Down::Changes(message) => message.encode_to_vec(),
            Down::Closed => Vec::new(),
        }
    }
}

/// Makes a message one that can't be taken: it can't be read, or follows on what never came. Says whether it is one that can be.
pub(crate) fn damage(message: &mut Down, unreadable: bool) -> bool {
    let (changes, prev) = match message {
        Down::Lifts(v1::FollowLiftsResponse { message: Some(LiftsOut::Lift(lift)) }) => {
            (&mut lift.changes, &mut lift.prev_lift_seq)
        }
        Down::Changes(v1::FollowChangesResponse { message: Some(ChangesOut::Batch(batch)) }) => {
            (&mut batch.changes, &mut batch.prev_revision)
        }
        _ => return false,
    };
    if unreadable && !changes.is_empty() {
        changes.truncate(changes.len() - 1);
    } else {
        *prev += 1_000_000;
    }
    true
}

/// Which of a replica's two connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Lifts,
    Changes,
}

pub(crate) const KINDS: [Kind; 2] = [Kind::Lifts, Kind::Changes];

/// The hub's end of a connection.
#[derive(Debug)]
pub(crate) enum HubEnd {
    Idle,
    Lifts(Box<LiftStream>),
    Changes(Box<ChangeStream>),
    Gone,
}

/// One direction: what travels. Each message has an event of its own, at which the first is taken.
#[derive(Debug)]
pub(crate) struct Way<M> {
    pub(crate) messages: VecDeque<M>,
    pub(crate) last_us: u64,
}

impl<M> Default for Way<M> {
    fn default() -> Self {
        Way { messages: VecDeque::new(), last_us: 0 }
    }
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) replica: usize,
    pub(crate) session: u64,
    pub(crate) kind: Kind,
    pub(crate) up: Way<Up>,
    pub(crate) down: Way<Down>,
    pub(crate) hub: HubEnd,
    /// Nothing that is sent from now on comes.
    pub(crate) broken: bool,
    /// The hub has to be told when there is room again.
    pub(crate) full: bool,
}
