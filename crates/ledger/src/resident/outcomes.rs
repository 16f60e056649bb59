//! What became of requests, kept for repetitions. Without the request's id and its caller, which are the key: a busy week has hundreds
//! of thousands of them.

use std::collections::BTreeMap;

use xinhub_domain::listing::State;
use xinhub_domain::listing::petition::PetitionState;
use xinhub_domain::time::Timestamp;

use crate::entry::OutcomeRecord;

/// By request id (which begins with its time) and the number of the caller.
pub type Outcomes = BTreeMap<([u8; 16], u32), KeptOutcome>;

/// What an [`OutcomeRecord`] has besides its key; each field is the one of that name there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct KeptOutcome {
    pub mac: [u8; 16],
    pub listing: u64,
    pub record: u64,
    pub etag: u64,
    pub at: Timestamp,
    pub state: State,
    pub petition: Option<PetitionState>,
    pub stale: bool,
    pub reason_owed: bool,
    pub late: bool,
}

impl From<&OutcomeRecord> for KeptOutcome {
    fn from(outcome: &OutcomeRecord) -> Self {
        // All are named, so that one that is new there isn't forgotten here.
        let OutcomeRecord {
            caller: _,
            request_id: _,
            mac,
            listing,
            record,
            state,
            etag,
            stale,
            reason_owed,
            at,
            petition,
            late,
        } = *outcome;
        KeptOutcome { mac, listing, record, etag, at, state, petition, stale, reason_owed, late }
    }
}

impl KeptOutcome {
    /// As a snapshot has it.
    pub fn record(&self, request_id: [u8; 16], caller: &str) -> OutcomeRecord {
        let KeptOutcome { mac, listing, record, etag, at, state, petition, stale, reason_owed, late } = *self;
        let caller = caller.to_owned();
        OutcomeRecord { caller, request_id, mac, listing, record, state, etag, stale, reason_owed, at, petition, late }
    }
}
