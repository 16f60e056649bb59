//! The hub as a whole: what is opened in which order, reloaded on SIGHUP, told to accept the clock by SIGUSR1, drained on SIGTERM, and when it gives up.
//!
//! Promises: nothing is served before the state is loaded and the permit table agrees with the services; a reload puts a
//! part in force whole or keeps the last good one and says why; a stop lets calls under way finish, up to a limit, and
//! then makes everything durable; a failed journal or audit log stops the hub at once, so that its next start recovers.

mod files;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use xinhub_ledger::clock::Clock;
use xinhub_ledger::keys::{KeyError, Keyring, Purpose};
use xinhub_ledger::{CommandError, Ledger, OpenError};
use xinhub_translog::note::{NoteError, Signer};

use crate::audit::{Audit, AuditError, Inquiries};
use crate::authorise::Authority;
use crate::config::{ConfigError, Settings};
use crate::import::Importer;
use crate::metrics::{self, Metrics};
use crate::quota::Quotas;
use crate::serve::{DrainReport, Gate};
use crate::service::{self, Alarms, Health, Hub, Overview, ServiceError};
use crate::sync::{Line, Replication};
use crate::tls::{TlsError, TlsState};
pub use files::{Rules, check_config, init};

/// How long health checks still say that the hub doesn't serve, before their streams end.
const WATCHES_END: Duration = Duration::from_millis(500);
/// How long the copy of an import that has lapsed may lie.
const BETWEEN_SWEEPS: Duration = Duration::from_secs(600);

/// Why the hub can't start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Configuration, policy or catalogue.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The data directory.
    #[error("{0}")]
    Ledger(#[from] OpenError),
    /// The keys.
    #[error("{0}")]
    Keys(#[from] KeyError),
    /// The audit log.
    #[error("{0}")]
    Audit(#[from] AuditError),
    /// The key that signs for outsiders, or its name.
    #[error("log.key, under the trust domain's name: {0}")]
    Signer(#[from] NoteError),
    /// Certificates.
    #[error("{0}")]
    Tls(#[from] TlsError),
    /// The services.
    #[error("{0}")]
    Services(#[from] ServiceError),
    /// The catalogue could not be recorded.
    #[error("the catalogue in force could not be recorded: {0}")]
    Configure(CommandError),
    /// The system refused something.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A thread died while the hub started.
    #[error("a thread of the start died; the log says where")]
    Died,
}

fn io_error(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> StartError {
    let what = what.into();
    move |source| StartError::Io { what, source }
}

/// A hub that serves.
pub struct Server {
    hub: Arc<Hub>,
    settings: Settings,
    health: Health,
    gate: Arc<Gate>,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    serving: JoinHandle<DrainReport>,
    metrics_stop: CancellationToken,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Server {
    /// Opens everything and serves. Answers are ready when this returns; details may still be catching up.
    ///
    /// # Errors
    /// What can't be opened; nothing is served then.
    pub async fn start(settings: Settings, clock: Arc<dyn Clock>) -> Result<Server, StartError> {
        let rules = Rules::load(&settings)?;
        let mut settings = settings;
        settings.ledger.rules = Arc::clone(rules.policy.rules());
        let authority = Arc::new(Authority::new(rules.policy));
        let pinned = {
            let authority = Arc::clone(&authority);
            Arc::new(move |client: &str| authority.policy().may_lift_past_crl_expiry(client))
        };
        let tls = TlsState::load(settings.tls.clone(), pinned)?;
        let opened = {
            let (settings, clock) = (settings.clone(), Arc::clone(&clock));
            tokio::task::spawn_blocking(move || open(&settings, &clock))
        };
        let Opened { ledger, audit, inquiries, signer, importer, sync } =
            opened.await.map_err(|_| StartError::Died)??;
        for (name, text) in &rules.in_force {
            ledger.configure(name, text).await.map_err(StartError::Configure)?;
        }
        let hub = Arc::new(Hub {
            ledger,
            authority,
            audit,
            inquiries,
            signer,
            importer,
            sync,
            quotas: Quotas::default(),
            metrics: Metrics::new(),
            started: clock.wall(),
            clock,
            tls: Arc::clone(&tls),
            limits: settings.calls,
            alarms: Alarms::default(),
            draining: CancellationToken::new(),
        });
        let mark = hub.sync.begin(&hub.ledger, &hub.authority.policy());
        tokio::spawn(Arc::clone(&hub.sync).keep(hub.ledger.clone(), hub.draining.clone()));
        for line in [Line::Lifts, Line::Changes] {
            tokio::spawn(Arc::clone(&hub.sync).follow(line, hub.ledger.clone(), mark, hub.draining.clone()));
        }
        tokio::spawn(Arc::clone(&hub.sync).anchor(hub.ledger.clone(), hub.draining.clone()));
        let (door, health) = service::services(&hub).await?;
        let gate = Gate::new(tls, settings.limits.clone()).map_err(io_error("threads for handshakes"))?;
        let listener = bind(settings.listen).await?;
        let address = listener.local_addr().map_err(io_error("listen"))?;
        let metrics_stop = CancellationToken::new();
        let metrics_address = serve_metrics(&settings, &hub, &gate, metrics_stop.clone()).await?;
        let serving = {
            let (gate, draining) = (Arc::clone(&gate), hub.draining.clone());
            tokio::spawn(async move { gate.serve(listener, door, draining).await })
        };
        tokio::spawn(sweep_imports(Arc::clone(&hub)));
        health.set(true).await;
        // Whoever started the hub on port 0 learns its ports from this line.
        let metrics = metrics_address.map(|address| address.to_string()).unwrap_or_default();
        tracing::info!(listen = %address, metrics, "listening");
        Ok(Server { hub, settings, health, gate, address, metrics_address, serving, metrics_stop })
    }

    /// Where gRPC is served.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are served.
    pub fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// What every call works with.
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The way in, with its counters.
    pub fn gate(&self) -> &Arc<Gate> {
        &self.gate
    }

    /// An operator vouches for the wall clock as it is. Apart from [`Server::reload`]: a routine renewal of certificates
    /// must not let terms end on a clock that has jumped.
    pub async fn accept_clock(&self) {
        self.hub.ledger.accept_clock().await;
        tracing::warn!("the wall clock was accepted as it is, by an operator");
    }

    /// Reads policy, catalogue, certificates and revocation lists again. Each part comes into force whole or not at all; what
    /// failed is returned and the last good one stays.
    pub async fn reload(&self) -> Vec<StartError> {
        let mut failed = Vec::new();
        if let Err(error) = self.reload_rules().await {
            failed.push(error);
        }
        let tls = Arc::clone(&self.hub.tls);
        match tokio::task::spawn_blocking(move || tls.reload()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                failed.push(error.into());
                // The files stay as they were; who is pinned may have changed.
                self.hub.tls.recheck();
            }
            Err(_) => failed.push(StartError::Died),
        }
        for error in &failed {
            tracing::error!(%error, "reload: what is in force stays");
        }
        if failed.is_empty() {
            tracing::info!("reloaded policy, catalogue, certificates and revocation lists");
        }
        failed
    }

    async fn reload_rules(&self) -> Result<(), StartError> {
        let settings = self.settings.clone();
        let rules =
            tokio::task::spawn_blocking(move || Rules::load(&settings)).await.map_err(|_| StartError::Died)??;
        // On record before it is in force: an answer must be derivable from what the journal held at its revision.
        for (name, text) in &rules.in_force {
            self.hub.ledger.configure(name, text).await.map_err(StartError::Configure)?;
        }
        self.hub.ledger.set_rules(Arc::clone(rules.policy.rules())).await;
        // Feeds first: whoever the policy entitles finds its own.
        self.hub.sync.take(&rules.policy);
        self.hub.authority.replace(rules.policy);
        Ok(())
    }

    /// Resolves once journal or audit log has failed: the process has to end, and its next start recovers.
    pub async fn failed(&self) {
        tokio::select! {
            () = self.hub.ledger.failed() => {}
            () = self.hub.audit.failed() => {}
        }
    }

    /// Stops: says so to health checks, sends clients elsewhere, waits for calls under way, and makes everything durable.
    pub async fn stop(self) -> DrainReport {
        self.health.set(false).await;
        self.hub.draining.cancel();
        let watches = tokio::spawn(async move {
            tokio::time::sleep(WATCHES_END).await;
            self.health.end_watches().await;
        });
        let report = self.serving.await.unwrap_or(DrainReport { open: 0, cut: 0 });
        watches.abort();
        self.metrics_stop.cancel();
        let (ledger, audit) = (self.hub.ledger.clone(), self.hub.audit.clone());
        let closed = tokio::task::spawn_blocking(move || {
            audit.shutdown();
            ledger.shutdown();
        });
        if closed.await.is_err() {
            tracing::error!("closing the journal died; the next start recovers");
        }
        tracing::info!(open = report.open, cut = report.cut, "the hub has stopped");
        report
    }

    /// Ends after a failure, without waiting for anyone: no answer may leave that can't be kept.
    pub fn abandon(self) {
        self.hub.draining.cancel();
        self.serving.abort();
        self.metrics_stop.cancel();
    }
}

/// What lies on the disk.
struct Opened {
    ledger: Ledger,
    audit: Audit,
    inquiries: Inquiries,
    signer: Signer,
    importer: Importer,
    sync: Arc<Replication>,
}

fn open(settings: &Settings, clock: &Arc<dyn Clock>) -> Result<Opened, StartError> {
    // First: it holds the directory's lock, so that nothing below touches what another process has.
    let ledger = Ledger::open(settings.ledger.clone(), Arc::clone(clock))?;
    let keys = Arc::new(Keyring::load(&settings.keys_dir)?);
    let signer = Signer::from_seed(&settings.tls.trust_domain, keys.current(Purpose::Log).bytes())?;
    let audience_key = keys.current(Purpose::Audience).clone();
    let audit = Audit::open(&settings.audit, keys, Arc::clone(clock))?;
    let inquiries = settings.ledger.data_dir.join("inquiries");
    let inquiries = Inquiries::open(&inquiries, audit.reader()).map_err(io_error("directory inquiries"))?;
    let importer = Importer::open(settings.import.clone()).map_err(io_error("staging directory"))?;
    let replicas = settings.ledger.data_dir.join("replicas");
    let sync = Replication::open(replicas, audience_key, &settings.calls, Arc::clone(clock));
    let sync = Arc::new(sync.map_err(io_error("directory replicas"))?);
    Ok(Opened { ledger, audit, inquiries, signer, importer, sync })
}

/// What waited for a second person goes soon after its time is over, and what a crash left at once.
async fn sweep_imports(hub: Arc<Hub>) {
    loop {
        hub.importer.sweep(&hub.ledger).await;
        tokio::select! {
            () = hub.draining.cancelled() => return,
            () = tokio::time::sleep(BETWEEN_SWEEPS) => {}
        }
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(io_error(format!("listening on {address}")))
}

async fn serve_metrics(
    settings: &Settings,
    hub: &Arc<Hub>,
    gate: &Arc<Gate>,
    stop: CancellationToken,
) -> Result<Option<SocketAddr>, StartError> {
    let Some(address) = settings.metrics else {
        return Ok(None);
    };
    let listener = bind(address).await?;
    let address = listener.local_addr().map_err(io_error("metrics"))?;
    let (hub, gate) = (Arc::clone(hub), Arc::clone(gate));
    let text = Arc::new(move || hub.metrics.encode(&Overview::of(&hub).snapshot(), gate.stats()));
    tokio::spawn(async move {
        if let Err(error) = metrics::serve(listener, text, stop.cancelled_owned()).await {
            tracing::error!(%error, "metrics are no longer served");
        }
    });
    Ok(Some(address))
}
