//! `hub.toml`: where the hub listens, keeps its data and finds its certificates, and how much of anything it takes.
//!
//! Promises: [`Settings`] that exist are checked; whoever mends the file learns every fault that its values have at once,
//! with key and fix; a key that isn't known is a fault, never ignored. Paths are taken from the file's own directory.

mod raw;
#[cfg(test)]
mod tests;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use xinhub_domain::fault::Fault;

use crate::audit::{AuditSettings, MIN_RETENTION_DAYS};
use crate::import::ImportSettings;
use crate::serve;
use crate::tls::TlsSettings;
use raw::{Raw, RawAudit, RawLedger, RawLimits};

/// The file's name in faults where it has none of its own.
const FILE: &str = "hub.toml";
/// A lease is at most this long (decision D6).
const MAX_LEASE_SECONDS: u64 = 30;
/// The least segment of the audit log, in MiB.
const MIN_AUDIT_SEGMENT_MIB: u64 = 4;

/// What the hub runs by, checked.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where gRPC is served.
    pub listen: SocketAddr,
    /// Where metrics are served, without TLS; `None` for nowhere.
    pub metrics: Option<SocketAddr>,
    /// Keys, apart from the data.
    pub keys_dir: PathBuf,
    /// The policy file.
    pub policy: PathBuf,
    /// A catalogue of one's own; `None` for the shipped one.
    pub catalogue_dir: Option<PathBuf>,
    /// Profiles of deadlines; `None`: the shipped ones.
    pub profiles: Option<PathBuf>,
    /// The calendar of working days; `None`: the shipped one.
    pub calendar: Option<PathBuf>,
    /// Certificates and revocation lists.
    pub tls: TlsSettings,
    /// What connections may take.
    pub limits: serve::Limits,
    /// What calls may take.
    pub calls: CallLimits,
    /// The ledger's own.
    pub ledger: xinhub_ledger::Settings,
    /// The audit log's own.
    pub audit: AuditSettings,
    /// What uploads may take.
    pub import: ImportSettings,
    /// Which log lines to write.
    pub log: String,
    /// Threads that serve; `None` for one per core.
    pub worker_threads: Option<usize>,
}

/// What calls may take.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// How long an online answer may be used.
    pub lease: Duration,
    /// Bytes of one message of a lookup.
    pub max_lookup_message_bytes: usize,
    /// Bytes of one message of a mutation or import chunk.
    pub max_registry_message_bytes: usize,
    /// Checks of one stream under way at a time.
    pub max_stream_checks: usize,
    /// Replicas of one client that lifts wait for.
    pub max_replicas_per_client: usize,
}

#[cfg(test)]
impl CallLimits {
    /// Small ones, for tests.
    pub(crate) fn small() -> CallLimits {
        CallLimits {
            lease: Duration::from_secs(10),
            max_lookup_message_bytes: 1 << 20,
            max_registry_message_bytes: 1 << 20,
            max_stream_checks: 4,
            max_replicas_per_client: 64,
        }
    }
}

/// Why a configuration can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file has faults.
    #[error("{}", List(.0))]
    Faults(Vec<Fault>),
}

/// One fault per line.
struct List<'a>(&'a [Fault]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            write!(f, "{}{fault}", if at == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

impl Settings {
    /// Reads and checks the file.
    ///
    /// # Errors
    /// The file's faults: of its syntax and keys the first, of its values all.
    pub fn load(path: &Path) -> Result<Settings, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or(FILE);
        let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        Settings::parse(&text, name, dir).map_err(ConfigError::Faults)
    }

    /// Checks a text; `dir` is where its paths begin.
    ///
    /// # Errors
    /// As [`load`](Self::load).
    pub fn parse(text: &str, name: &str, dir: &Path) -> Result<Settings, Vec<Fault>> {
        let raw: Raw = toml::from_str(text).map_err(|error| vec![syntax_fault(name, text, &error)])?;
        let mut check = Check { name, dir, faults: Vec::new() };
        let settings = check.settings(raw);
        if check.faults.is_empty() { Ok(settings) } else { Err(check.faults) }
    }
}

/// The parser's own fault, with its place.
fn syntax_fault(name: &str, text: &str, error: &toml::de::Error) -> Fault {
    let at = error.span().map(|span| text.get(..span.start).unwrap_or(text));
    let line = at.map(|before| before.matches('\n').count() + 1);
    let column = at.map(|before| before.rsplit('\n').next().unwrap_or_default().chars().count() + 1);
    Fault {
        file: name.to_owned(),
        line,
        column,
        key: "syntax".to_owned(),
        problem: error.message().trim().replace('\n', ", "),
        fix: "see config-example/hub.toml for every key and its shape".to_owned(),
    }
}

/// Takes values out of the raw file and notes what is wrong with them.
struct Check<'a> {
    name: &'a str,
    dir: &'a Path,
    faults: Vec<Fault>,
}

impl Check<'_> {
    fn fault(&mut self, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        self.faults.push(Fault {
            file: self.name.to_owned(),
            line: None,
            column: None,
            key: key.to_owned(),
            problem: problem.into(),
            fix: fix.into(),
        });
    }

    fn settings(&mut self, raw: Raw) -> Settings {
        let listen = self.address("listen", &raw.listen);
        let metrics = match raw.metrics.as_str() {
            "" => None,
            text => Some(self.address("metrics", text)),
        };
        if metrics == Some(listen) && listen.port() != 0 {
            self.fault("metrics", "is the address of `listen`", "give it a port of its own, or \"\" for none");
        }
        let data_dir = self.path("data_dir", &raw.data_dir);
        let keys_dir = self.path("keys_dir", &raw.keys_dir);
        if keys_dir.starts_with(&data_dir) {
            let problem = "lies within data_dir, so that a copy of the data would hold its keys";
            self.fault("keys_dir", problem, "keep keys elsewhere and back them up apart");
        }
        Settings {
            listen,
            metrics,
            policy: self.path("policy", &raw.policy),
            catalogue_dir: raw.catalogue_dir.as_deref().map(|dir| self.path("catalogue_dir", dir)),
            profiles: raw.profiles.as_deref().map(|file| self.path("profiles", file)),
            calendar: raw.calendar.as_deref().map(|file| self.path("calendar", file)),
            tls: self.tls(&raw),
            limits: self.limits(&raw.limits),
            calls: CallLimits {
                lease: Duration::from_secs(self.within(
                    "limits.lease_seconds",
                    raw.limits.lease_seconds,
                    1,
                    MAX_LEASE_SECONDS,
                )),
                max_lookup_message_bytes: self.kib("limits.lookup_message_kib", raw.limits.lookup_message_kib),
                max_registry_message_bytes: self.kib("limits.registry_message_kib", raw.limits.registry_message_kib),
                max_stream_checks: self.count("limits.stream_checks", raw.limits.stream_checks, 4_096),
                max_replicas_per_client: self.count(
                    "limits.replicas_per_client",
                    raw.limits.replicas_per_client,
                    65_536,
                ),
            },
            ledger: self.ledger(&raw.ledger, &data_dir, &keys_dir),
            audit: self.audit(&raw.audit, &data_dir),
            import: ImportSettings {
                max_file_bytes: self.within("import.max_file_mib", raw.import.max_file_mib, 1, 1 << 20) << 20,
                min_free_bytes: self.within("import.min_free_mib", raw.import.min_free_mib, 64, 1 << 20) << 20,
                ..ImportSettings::new(data_dir.join("staging"))
            },
            keys_dir,
            log: raw.log.clone(),
            worker_threads: match raw.worker_threads {
                0 => None,
                threads => Some(self.count("worker_threads", threads, 1_024)),
            },
        }
    }

    fn address(&mut self, key: &str, text: &str) -> SocketAddr {
        text.parse().unwrap_or_else(|_| {
            self.fault(
                key,
                "is no address",
                "write an address and a port, such as \"127.0.0.1:7443\" or \"[::1]:7443\"",
            );
            SocketAddr::from(([127, 0, 0, 1], 0))
        })
    }

    fn path(&mut self, key: &str, text: &str) -> PathBuf {
        if text.is_empty() {
            self.fault(
                key,
                "is empty",
                "name a path; one that doesn't begin with / is taken from this file's directory",
            );
        }
        self.dir.join(text)
    }

    fn tls(&mut self, raw: &Raw) -> TlsSettings {
        if raw.tls.crls.is_empty() {
            self.fault(
                "tls.crls",
                "is empty",
                "name one revocation list for each CA, an empty list if nothing is revoked",
            );
        }
        TlsSettings {
            cert_chain_path: self.path("tls.certificate", &raw.tls.certificate),
            key_path: self.path("tls.key", &raw.tls.key),
            client_ca_path: self.path("tls.client_ca", &raw.tls.client_ca),
            crl_paths: raw
                .tls
                .crls
                .iter()
                .enumerate()
                .map(|(at, path)| self.path(&format!("tls.crls[{at}]"), path))
                .collect(),
            trust_domain: raw.tls.trust_domain.clone(),
        }
    }

    fn limits(&mut self, raw: &RawLimits) -> serve::Limits {
        let drain = self.within("limits.drain_seconds", raw.drain_seconds, 1, 3_600);
        let handshake = self.within("limits.handshake_seconds", raw.handshake_seconds, 1, 60);
        let streams = self.count("limits.streams_per_connection", raw.streams_per_connection, 65_536);
        serve::Limits {
            handshake_timeout: Duration::from_secs(handshake),
            max_handshakes: self.count("limits.handshakes", raw.handshakes, 65_536),
            handshake_threads: self.count("limits.handshake_threads", raw.handshake_threads, 256),
            max_connections: self.count("limits.connections", raw.connections, 1 << 20),
            max_connections_per_client: self.count(
                "limits.connections_per_client",
                raw.connections_per_client,
                1 << 20,
            ),
            drain_timeout: Duration::from_secs(drain),
            http2: serve::Http2Limits {
                max_concurrent_streams: u32::try_from(streams).unwrap_or(u32::MAX),
                ..serve::Http2Limits::default()
            },
        }
    }

    fn ledger(&mut self, raw: &RawLedger, data_dir: &Path, keys_dir: &Path) -> xinhub_ledger::Settings {
        let snapshot = raw.snapshot_every_events;
        xinhub_ledger::Settings {
            segment_bytes: self.mib("ledger.segment_mib", raw.segment_mib),
            detail_cache_bytes: self.mib("ledger.detail_cache_mib", raw.detail_cache_mib),
            snapshot_every_events: self.within("ledger.snapshot_every_events", snapshot, 1_000, 1 << 40),
            ..xinhub_ledger::Settings::new(data_dir, keys_dir)
        }
    }

    fn audit(&mut self, raw: &RawAudit, data_dir: &Path) -> AuditSettings {
        // Records of giving personal data to others are kept 3 years (网络数据安全管理条例 art. 12).
        let days = self.within("audit.keep_days", raw.keep_days, u64::from(MIN_RETENTION_DAYS), 36_500);
        AuditSettings {
            // The record of a batch of 10,000 adverse answers has to fit into one segment.
            segment_bytes: self.within("audit.segment_mib", raw.segment_mib, MIN_AUDIT_SEGMENT_MIB, 1_024) << 20,
            queue_records: self.count("audit.max_waiting", raw.max_waiting, 1 << 24),
            retention_days: u32::try_from(days).unwrap_or(u32::MAX),
            ..AuditSettings::new(data_dir.join("audit"))
        }
    }

    fn within(&mut self, key: &str, value: u64, least: u64, most: u64) -> u64 {
        if !(least..=most).contains(&value) {
            self.fault(key, format!("is {value}"), format!("write a number from {least} to {most}"));
        }
        value.clamp(least, most)
    }

    fn count(&mut self, key: &str, value: u64, most: u64) -> usize {
        usize::try_from(self.within(key, value, 1, most)).unwrap_or(usize::MAX)
    }

    fn kib(&mut self, key: &str, value: u64) -> usize {
        usize::try_from(self.within(key, value, 64, 64 * 1_024) * 1_024).unwrap_or(usize::MAX)
    }

    fn mib(&mut self, key: &str, value: u64) -> u64 {
        self.within(key, value, 1, 1_024) << 20
    }
}
