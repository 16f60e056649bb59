//! The hub's machine: a disk that loses what was not synced, and a process that ends in three ways.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use xinhub_domain::measure::Catalogue;
use xinhub_domain::policy::Policy;
use xinhub_ledger::keys::Keyring;
use xinhub_ledger::seglog::{LogConfig, LogPurpose, SegmentedLog};
use xinhub_ledger::storage::sim::SimStorage;
use xinhub_ledger::{Clock, CommandError, Ledger, Outcome, Request, Settings};
use xinhub_server::config::CallLimits;
use xinhub_server::service::simulated::{Fault, Hub};

use super::network::Turned;

pub(crate) const LEASE: Duration = Duration::from_millis(1_600);

/// Who keeps replicas, and of what they ask.
pub(crate) const BANK: (&str, &str) = ("bank", "credit.lending");
pub(crate) const HOUSING: (&str, &str) = ("housing", "transaction.land-mineral");

/// The second policy tells [`HOUSING`] of more relations: its audience is another one.
pub(crate) fn policy(wider: bool) -> Policy {
    let more = if wider { ", \"consumption.building\"" } else { "" };
    let client = |id: &str, class: &str, unit: &str, measures: &str| {
        format!(
            "[[client]]\nid = \"{id}\"\nclass = \"{class}\"\nunit = \"{unit}\"\nlegal_basis = \"synthetic\"\n\
             impact_assessment = \"synthetic\"\nexpires = 2099-12-31\nrate_per_second = 100\ndaily_quota = 1_000_000\n\
             reach = [\"online\", \"filter\", \"exact\"]\nfields = [\"relation\", \"effect\"]\naudience = \"{id}\"\n\
             measures = [{measures}]\n"
        )
    };
    let text = format!(
        "format = 1\nrelease = \"one\"\ngo_live = 2099-01-01\n\
         [[court]]\nid = \"court-1\"\nname_zh = \"合成法院\"\n\
         [[client]]\nid = \"court\"\nclass = \"court\"\ncourt = \"court-1\"\nlegal_basis = \"synthetic\"\n\
         expires = 2099-12-31\nrate_per_second = 100\ndaily_quota = 1_000_000\n\
         [[audience]]\nid = \"bank\"\nmeasures = [\"credit.lending\"]\n\
         [[audience]]\nid = \"housing\"\nmeasures = [\"transaction.land-mineral\"{more}]\n{}{}",
        client("bank", "bank", "central-bank", "{ code = \"credit.lending\" }"),
        client(
            "housing",
            "unit",
            "housing-construction",
            "{ code = \"transaction.land-mineral\" }, { code = \"consumption.building\" }"
        ),
    );
    Policy::parse(&text, Catalogue::shipped()).unwrap_or_else(|faults| panic!("{faults}"))
}

/// How a hub's process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Down {
    /// As it should.
    Stop,
    /// Killed: what was written stays.
    Kill,
    /// With the power: what was not synced may be lost.
    PowerCut,
}

pub(crate) struct Machine {
    disk: SimStorage,
    keys: Arc<Keyring>,
    settings: Settings,
    dir: TempDir,
    clock: Arc<Turned>,
    pub(crate) wider: bool,
    fault: Option<Fault>,
    runtime: tokio::runtime::Runtime,
    pub(crate) hub: Option<Hub>,
}

impl Machine {
    pub(crate) fn new(seed: u64, clock: Arc<Turned>, fault: Option<Fault>) -> Machine {
        let dir = TempDir::new().unwrap();
        let keys = Arc::new(keys(seed, &dir));
        let mut settings = Settings::new(dir.path().join("data"), dir.path());
        settings.segment_bytes = 1 << 20;
        let disk = SimStorage::new(seed);
        // The epoch too follows from the seed.
        let config = LogConfig { segment_bytes: settings.segment_bytes, ..LogConfig::new(LogPurpose::Journal) };
        let mut epoch = [7; 16];
        epoch[..8].copy_from_slice(&seed.to_be_bytes());
        SegmentedLog::create(disk.storage().dir("journal").unwrap(), config, epoch).unwrap();
        Ledger::create_on(&*disk.storage(), &keys, &settings).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut machine = Machine { disk, keys, settings, dir, clock, wider: false, fault, runtime, hub: None };
        machine.up();
        machine
    }

    pub(crate) fn up(&mut self) {
        let clock: Arc<dyn Clock> = Arc::<Turned>::clone(&self.clock);
        let opened =
            Ledger::open_on(self.disk.storage(), Arc::clone(&self.keys), self.settings.clone(), Arc::clone(&clock));
        let limits = CallLimits {
            lease: LEASE,
            max_lookup_message_bytes: 1 << 20,
            max_registry_message_bytes: 1 << 20,
            max_stream_checks: 4,
            max_replicas_per_client: 64,
        };
        let (dir, policy) = (self.dir.path().join("replicas"), policy(self.wider));
        self.hub = Some(Hub::open(dir, opened.unwrap(), &self.keys, (clock, &limits), policy, self.fault).unwrap());
    }

    /// Whoever holds a stream of the hub's has let it go before.
    pub(crate) fn down(&mut self, how: Down, seed: u64) {
        let Some(hub) = self.hub.take() else { return };
        if how == Down::Stop {
            hub.stop();
        }
        // What the old process still does happens on another disk than the new one's.
        self.disk = if how == Down::PowerCut { self.disk.crash(seed) } else { self.disk.restart(seed) };
        drop(hub);
    }

    /// Cuts the power in the middle of what is next written.
    pub(crate) fn power_off_after(&self, operations: u64) {
        self.disk.power_off_after(operations);
    }

    /// One event: it returns once the court has its answer.
    pub(crate) fn submit(&self, request: Request) -> Result<Outcome, CommandError> {
        let hub = self.hub.as_ref().ok_or(CommandError::Stopping)?;
        self.runtime.block_on(hub.ledger().submit(request))
    }

    pub(crate) fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.block_on(future)
    }

    pub(crate) fn now_us(&self, ms: u64) -> u64 {
        self.clock.us(ms)
    }
}

fn keys(seed: u64, dir: &TempDir) -> Keyring {
    for purpose in ["kek", "index", "audience", "audit", "tombstone", "log"] {
        let key = blake3::derive_key(purpose, &seed.to_be_bytes());
        let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = dir.path().join(format!("{purpose}.key"));
        std::fs::write(&path, format!("xinhub-key;format=1;purpose={purpose};epoch=1;hex={hex}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    Keyring::load(dir.path()).unwrap()
}
