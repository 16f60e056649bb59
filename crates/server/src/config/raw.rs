//! The file as written. Each field with a default names it in a function, so that the documentation and the code agree.

use serde::Deserialize;

/// The whole file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Raw {
    /// Where gRPC is served. Default `127.0.0.1:7443`.
    #[serde(default = "default_listen")]
    pub(super) listen: String,
    /// Where Prometheus reads metrics, without TLS; empty for nowhere. Default `127.0.0.1:9464`.
    #[serde(default = "default_metrics")]
    pub(super) metrics: String,
    /// Journal, audit, detail store and snapshots. Written by the hub alone.
    pub(super) data_dir: String,
    /// Keys; outside `data_dir`, each file readable by its owner alone.
    pub(super) keys_dir: String,
    /// Courts, clients and their grants. Default `policy.toml`.
    #[serde(default = "default_policy")]
    pub(super) policy: String,
    /// A directory with `measures.tsv` and `units.tsv`. Default: the shipped catalogue.
    #[serde(default)]
    pub(super) catalogue_dir: Option<String>,
    /// Profiles of deadlines. Default: the shipped ones, `spc-2017` and `leizhou`.
    #[serde(default)]
    pub(super) profiles: Option<String>,
    /// The calendar of working days. Default: the shipped one.
    #[serde(default)]
    pub(super) calendar: Option<String>,
    /// Which log lines: a level, or levels by module. Default `info`.
    #[serde(default = "default_log")]
    pub(super) log: String,
    /// Threads that serve calls. Default 0: one per core.
    #[serde(default)]
    pub(super) worker_threads: u64,
    /// Certificates.
    pub(super) tls: RawTls,
    /// Bounds.
    #[serde(default)]
    pub(super) limits: RawLimits,
    /// The journal and what is derived from it.
    #[serde(default)]
    pub(super) ledger: RawLedger,
    /// The record of every call.
    #[serde(default)]
    pub(super) audit: RawAudit,
    /// Courts' files.
    #[serde(default)]
    pub(super) import: RawImport,
}

/// `[tls]`: PEM files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawTls {
    /// The hub's certificate, then its intermediates.
    pub(super) certificate: String,
    /// Its private key, readable by its owner alone.
    pub(super) key: String,
    /// The CAs whose client certificates are accepted.
    pub(super) client_ca: String,
    /// One revocation list for each of these CAs.
    pub(super) crls: Vec<String>,
    /// As in `spiffe://<trust-domain>/client/<id>`, lower case.
    pub(super) trust_domain: String,
}

/// `[limits]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLimits {
    /// How long a stopping hub waits for calls under way. Default 30.
    pub(super) drain_seconds: u64,
    /// How long an online answer may be used, at most 30. Default 10.
    pub(super) lease_seconds: u64,
    /// Time in which a client has to prove itself. Default 5.
    pub(super) handshake_seconds: u64,
    /// Handshakes at a time. Default 256.
    pub(super) handshakes: u64,
    /// Threads for handshakes. Default 2.
    pub(super) handshake_threads: u64,
    /// Connections at a time. Default 8,192.
    pub(super) connections: u64,
    /// Connections of one client at a time. Default 64.
    pub(super) connections_per_client: u64,
    /// Calls at a time on one connection. Default 256.
    pub(super) streams_per_connection: u64,
    /// Largest message to LookupService, in KiB; a batch of 10,000 takes some 1,500. Default 8,192.
    pub(super) lookup_message_kib: u64,
    /// Largest message to RegistryService, in KiB; a chunk of an import is at most 1,024. Default 2,048.
    pub(super) registry_message_kib: u64,
    /// Checks of one CheckStream under way at a time. Default 64.
    pub(super) stream_checks: u64,
    /// Replicas of one client that every lift waits for. Default 64.
    pub(super) replicas_per_client: u64,
}

impl Default for RawLimits {
    fn default() -> Self {
        RawLimits {
            drain_seconds: 30,
            lease_seconds: 10,
            handshake_seconds: 5,
            handshakes: 256,
            handshake_threads: 2,
            connections: 8_192,
            connections_per_client: 64,
            streams_per_connection: 256,
            lookup_message_kib: 8_192,
            registry_message_kib: 2_048,
            stream_checks: 64,
            replicas_per_client: 64,
        }
    }
}

/// `[ledger]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawLedger {
    /// MiB of one segment of the journal. Default 64.
    pub(super) segment_mib: u64,
    /// MiB of listings' details that are kept in memory. Default 64.
    pub(super) detail_cache_mib: u64,
    /// Events between two snapshots. Default 500,000.
    pub(super) snapshot_every_events: u64,
}

impl Default for RawLedger {
    fn default() -> Self {
        RawLedger { segment_mib: 64, detail_cache_mib: 64, snapshot_every_events: 500_000 }
    }
}

/// `[audit]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawAudit {
    /// MiB of one segment. Default 64.
    pub(super) segment_mib: u64,
    /// Days for which records are kept; at least 3 years. Default 1,461 (4 years).
    pub(super) keep_days: u64,
    /// Calls being answered and records waiting for the disk; with more, answers stop. Default 65,536.
    pub(super) max_waiting: u64,
}

impl Default for RawAudit {
    fn default() -> Self {
        RawAudit { segment_mib: 64, keep_days: 1_461, max_waiting: 65_536 }
    }
}

/// `[import]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct RawImport {
    /// Largest file, in MiB. Default 16,384.
    pub(super) max_file_mib: u64,
    /// MiB that an upload leaves free on the disk, where the journal lives too. Default 256.
    pub(super) min_free_mib: u64,
}

impl Default for RawImport {
    fn default() -> Self {
        RawImport { max_file_mib: 16_384, min_free_mib: 256 }
    }
}

fn default_listen() -> String {
    "127.0.0.1:7443".to_owned()
}

fn default_metrics() -> String {
    "127.0.0.1:9464".to_owned()
}

fn default_policy() -> String {
    "policy.toml".to_owned()
}

fn default_log() -> String {
    "info".to_owned()
}
