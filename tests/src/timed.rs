//! A hub within this process, with its clock in hand: days pass when a test says so, also while it is down.
//!
//! It serves over the same mutual TLS as a process of its own. Certificates are judged by the machine's clock, so that they
//! stay valid over the days that pass here.

use std::ops::Deref;
use std::sync::Arc;

use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::clock::Clock;
use xinhub_ledger::clock::manual::ManualClock;
use xinhub_server::config::Settings;
use xinhub_server::run::Server;

use crate::{Desk, Hub, Setup, parties};

/// Monday, 2026-03-02, 10:00 in Asia/Shanghai: no holiday within a month.
const START: Timestamp = Timestamp(1_772_416_800_000);
const HOUR_MS: u64 = 3_600_000;

/// A hub, and its clock.
#[derive(Debug)]
pub struct Timed {
    hub: Hub,
    clock: Arc<ManualClock>,
    server: Option<Server>,
}

impl Deref for Timed {
    type Target = Hub;

    fn deref(&self) -> &Hub {
        &self.hub
    }
}

impl Timed {
    /// A hub that serves; its clock stands still.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn start() -> Timed {
        Timed::start_with("one").await
    }

    /// As [`start`](Self::start), with this release policy.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn start_with(release: &'static str) -> Timed {
        let clock = Arc::new(ManualClock::at(START));
        let hub = Hub::init(Setup::default());
        // The plan's deadlines: it has one for the party too.
        let policy = parties::policy(release).replace("go_live", "profile = \"leizhou\"\ngo_live");
        std::fs::write(hub.policy_path(), policy).unwrap();
        let mut timed = Timed { hub, clock, server: None };
        timed.serve().await;
        timed
    }

    /// Starts it on what it has kept.
    ///
    /// # Panics
    /// Where it does not start.
    pub async fn serve(&mut self) {
        let settings = Settings::load(&self.hub.config_path()).unwrap();
        let server = Server::start(settings, Arc::<ManualClock>::clone(&self.clock)).await.unwrap();
        self.hub.within = server.metrics_address().map(|metrics| (server.address(), metrics));
        self.server = Some(server);
    }

    /// Stops it in an orderly way.
    ///
    /// # Panics
    /// Where it does not run.
    pub async fn stop(&mut self) {
        self.hub.within = None;
        self.server.take().expect("the hub runs").stop().await;
    }

    /// Who works at a client's system.
    pub async fn desk(&self, client: &str) -> Desk {
        Desk::new(self.client(client).await, Arc::clone(&self.clock))
    }

    /// The clock.
    pub fn clock(&self) -> &ManualClock {
        &self.clock
    }

    /// Hub time.
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// Today.
    pub fn today(&self) -> Day {
        self.now().day()
    }

    /// So many days pass; nobody waits for what they bring.
    pub fn pass_days(&self, days: u64) {
        self.clock.advance_ms(days * 24 * HOUR_MS);
    }

    /// So many days pass, and what they bring is recorded.
    ///
    /// # Panics
    /// Where the hub never takes note.
    pub async fn days_later(&self, days: u64) {
        self.pass_days(days);
        self.caught_up().await;
    }

    /// Everything that is due is recorded once this returns: the writer looks at the clock before each thing it is asked.
    ///
    /// # Panics
    /// Where the hub does not run.
    pub async fn caught_up(&self) {
        let failed = self.server.as_ref().expect("the hub runs").reload().await;
        assert!(failed.is_empty(), "{failed:?}");
    }

    /// How many events the hub has recorded.
    ///
    /// # Panics
    /// Where it does not run.
    pub fn revision(&self) -> u64 {
        self.server.as_ref().expect("the hub runs").hub().ledger.position().revision
    }

    /// An operator vouches for the clock.
    ///
    /// # Panics
    /// Where the hub does not run.
    pub async fn accept_clock(&self) {
        self.server.as_ref().expect("the hub runs").accept_clock().await;
    }
}
