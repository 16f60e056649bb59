//! Counters of connections, for metrics. Each is exact; a set read together may straddle a change.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::tls::Refusal;

/// What became of the connections of one [`super::Gate`], since it was made.
#[derive(Debug, Default)]
pub struct ConnectionStats {
    accepted: AtomicU64,
    refused_at_capacity: AtomicU64,
    refused_per_client: AtomicU64,
    admitted: AtomicU64,
    active: AtomicU64,
    handshake_failed: [AtomicU64; Refusal::ALL.len()],
    cut: [AtomicU64; Cut::ALL.len()],
}

/// Why the hub ended a live connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cut {
    /// Its certificate is on a revocation list now.
    Revoked,
    /// Its certificate no longer passes for another reason, such as a CA withdrawn.
    NoLongerTrusted,
    /// Its certificate's, or an intermediate's, `notAfter` has come.
    Expired,
    /// The revocation list's `nextUpdate` has passed; a pinned client comes back flagged, others are refused.
    CrlExpired,
    /// Its streams outlasted the drain.
    Drain,
}

impl Cut {
    /// Every reason, in the order of the counters.
    pub const ALL: [Self; 5] = [Self::Revoked, Self::NoLongerTrusted, Self::Expired, Self::CrlExpired, Self::Drain];

    /// The label for metrics and logs, `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::NoLongerTrusted => "no_longer_trusted",
            Self::Expired => "expired",
            Self::CrlExpired => "crl_expired",
            Self::Drain => "drain",
        }
    }
}

impl ConnectionStats {
    /// TCP connections taken from the listeners.
    pub fn accepted(&self) -> u64 {
        self.accepted.load(Relaxed)
    }

    /// Of these, closed at once because the hub held as many as it may.
    pub fn refused_at_capacity(&self) -> u64 {
        self.refused_at_capacity.load(Relaxed)
    }

    /// Closed after the handshake because their client held as many as one may.
    pub fn refused_per_client(&self) -> u64 {
        self.refused_per_client.load(Relaxed)
    }

    /// Connections that reached the services.
    pub fn admitted(&self) -> u64 {
        self.admitted.load(Relaxed)
    }

    /// Connections being served now.
    pub fn active(&self) -> u64 {
        self.active.load(Relaxed)
    }

    /// Handshakes that failed for `reason`.
    pub fn handshake_failed(&self, reason: Refusal) -> u64 {
        self.handshake_failed[reason as usize].load(Relaxed)
    }

    /// Live connections ended for `reason`.
    pub fn cut(&self, reason: Cut) -> u64 {
        self.cut[reason as usize].load(Relaxed)
    }

    pub(super) fn count_accepted(&self) {
        self.accepted.fetch_add(1, Relaxed);
    }

    pub(super) fn count_refused_at_capacity(&self) {
        self.refused_at_capacity.fetch_add(1, Relaxed);
    }

    pub(super) fn count_refused_per_client(&self) {
        self.refused_per_client.fetch_add(1, Relaxed);
    }

    pub(super) fn count_handshake_failed(&self, reason: Refusal) {
        self.handshake_failed[reason as usize].fetch_add(1, Relaxed);
    }

    pub(super) fn count_cut(&self, reason: Cut) {
        self.cut[reason as usize].fetch_add(1, Relaxed);
    }

    /// Counts a connection as admitted, and as active for as long as the guard lives.
    pub(super) fn admit(&self) -> Active<'_> {
        self.admitted.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        Active(self)
    }
}

pub(super) struct Active<'a>(&'a ConnectionStats);

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Relaxed);
    }
}
