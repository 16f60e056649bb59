//! A replica beside a hub, and what it has heard.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use xinhub_client::v1::{ReplicaReach, Verdict};
use xinhub_client::{By, Replica, ReplicaConfig, Replied};

use crate::wait::{until, within};
use crate::{Ask, Hub, Proxy, Setup};

/// A hub whose leases last so long.
pub fn leased(seconds: u32) -> Setup {
    Setup { limits: format!("lease_seconds = {seconds}"), ..Setup::default() }
}

/// A connection of a client's, by another way where there is one between.
pub async fn connected(hub: &Hub, client: &str, way: Option<&Proxy>) -> xinhub_client::Hub {
    let mut config = hub.client_config(client);
    if let Some(proxy) = way {
        config.endpoint = format!("https://{}", proxy.address());
    }
    xinhub_client::Hub::connect(config).await.unwrap()
}

/// A replica, and its directory.
#[derive(Debug)]
pub struct Following {
    /// The replica.
    pub replica: Replica,
    /// Where it keeps itself.
    pub dir: TempDir,
    lifts: Arc<AtomicU64>,
}

impl Following {
    /// A replica of a client's, which answers by itself.
    pub async fn of(hub: &Hub, client: &str) -> Following {
        Following::at(&connected(hub, client, None).await, TempDir::new().unwrap(), |config| config).await
    }

    /// A replica in a directory, exact unless it is set up otherwise; once it holds the list.
    pub async fn at(
        hub: &xinhub_client::Hub,
        dir: TempDir,
        set_up: impl FnOnce(ReplicaConfig) -> ReplicaConfig,
    ) -> Following {
        let lifts = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&lifts);
        let config = ReplicaConfig::new(dir.path()).reach(ReplicaReach::Exact).on_lift(move |_| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        let replica = Replica::open(hub, set_up(config)).unwrap();
        within(replica.synced()).await;
        Following { replica, dir, lifts }
    }

    /// A replica that holds no more than a filter.
    pub async fn filter(hub: &xinhub_client::Hub, dir: TempDir) -> Following {
        Following::at(hub, dir, |config| config.reach(ReplicaReach::Filter)).await
    }

    /// Where it keeps itself.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// How many lifts it was called for.
    pub fn lifts(&self) -> u64 {
        self.lifts.load(Ordering::Relaxed)
    }

    /// Asks it.
    pub async fn check(&self, ask: Ask) -> Replied {
        self.replica.check(ask.request()).await.unwrap()
    }

    /// Whether it finds somebody clear by itself.
    pub async fn is_clear(&self, ask: Ask) -> bool {
        let replied = self.check(ask).await;
        replied.by == By::Replica && replied.verdict() == Verdict::Clear
    }

    /// Waits until it finds somebody clear by itself, or not.
    pub async fn until_clear(&self, ask: &Ask, clear: bool) {
        until("the replica is where the hub is", || async {
            (self.is_clear(ask.clone()).await == clear).then_some(())
        })
        .await;
    }

    /// Waits until it may answer against somebody.
    pub async fn until_leased(&self) {
        until("a lease stands", || async { (!self.replica.state().lease().is_zero()).then_some(()) }).await;
    }

    /// Waits until the hub has on record all that it has answered.
    pub async fn until_reported(&self) {
        until("the hub has it on record", || async { (self.replica.state().unreported == 0).then_some(()) }).await;
    }

    /// Ends it, and gives its directory back.
    pub async fn close(self) -> TempDir {
        self.replica.close().await.unwrap();
        self.dir
    }
}
