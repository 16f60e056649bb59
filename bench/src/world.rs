//! A hub's directory with everything in it: certificates, policy, configuration, synthetic rows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use xinhub_cli::certs::ca::Authority;
use xinhub_client::{Config, Hub, v1};

use crate::ask::Questions;
use crate::process::{On, Server, spawn};
use crate::side::manifest;
use crate::{Result, details, note, policy};

pub(crate) const COURT: &str = "court";
pub(crate) const BANK: &str = "bank";
const OPERATOR: &str = "operator";
pub(crate) const COURT_NAME: &str = "广东省雷州市人民法院";
const TRUST_DOMAIN: &str = "bench.xinhub.invalid";
/// This program, by its allocator.
const SYSTEM_MALLOC: &str = "xinhub-bench";
const MIMALLOC: &str = "xinhub-bench-mimalloc";
/// Of the rows that a world is filled with.
const FIRST_SEED: u64 = 1;
const LISTINGS: &str = "listings.csv";
const RELATIONS: &str = "relations.csv";
/// How it was filled; the last that is written.
const FILLED: &str = "filled.json";
const OTHER_CONFIG: &str = "other-hub.toml";
/// What a hub is made of, and what it is asked.
const PARTS: [&str; 6] = ["data", "keys", "pki", "hub.toml", "policy.toml", "answers.csv"];
const DAY: Duration = Duration::from_secs(86_400);
/// The measure that is asked for: it reaches debtors, persons and organisations, and answers CONSIDER.
pub(crate) const MEASURE: &str = "credit.lending";

const CONFIG: &str = r#"listen = "127.0.0.1:0"
metrics = "127.0.0.1:0"
data_dir = "data"
keys_dir = "keys"
[tls]
certificate = "pki/server.pem"
key = "pki/server.key"
client_ca = "pki/ca.pem"
crls = ["pki/crl.pem"]
trust_domain = "bench.xinhub.invalid"
# Every caller and every replica here is the same client.
[limits]
connections_per_client = 4_000
replicas_per_client = 4_000
"#;

/// What a world is filled with.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum With {
    Listings,
    /// And who is related to the organisations among them.
    Relations,
}

/// What rows to make: of the first seed with what look-ups should find.
struct Synthetic<'a> {
    rows: u64,
    seed: u64,
    listings: &'a str,
    with: With,
}

/// Where it all happens.
#[derive(Clone, clap::Args)]
pub(crate) struct Place {
    /// A hub's directory that is kept: filled by the first run, and taken as it is by later ones with as many rows
    #[arg(long, value_name = "DIR", conflicts_with = "within")]
    world: Option<PathBuf>,
    /// On which disk: a directory of its own is made in this one, and removed
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// Where xinhubd and xinhub lie; if not given, beside this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

impl Place {
    pub(crate) fn is_kept(&self) -> bool {
        self.world.is_some()
    }

    /// Whether a world is there that is taken as it is.
    pub(crate) fn is_filled(&self) -> bool {
        self.world.as_ref().is_some_and(|dir| dir.join(FILLED).exists())
    }
}

/// A hub that was made, and its programs.
pub(crate) struct World {
    dir: PathBuf,
    bin_dir: PathBuf,
    /// What is asked of it, read once.
    pub(crate) questions: OnceLock<(Questions, Questions)>,
    /// Goes with the world, unless that is kept.
    _temporary: Option<TempDir>,
}

/// How a world got its listings; kept in it, as `filled.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Filled {
    pub(crate) rows: u64,
    pub(crate) imports: Vec<Imported>,
    /// The hub's, over all imports.
    pub(crate) peak_rss_mib: f64,
    /// Of the detail store when the last file was acknowledged; `None` where the hub didn't live to catch up.
    pub(crate) lag: Option<Lag>,
}

impl Filled {
    /// Rows of those who are related to what is listed.
    pub(crate) fn relations(&self) -> u64 {
        self.imports.iter().filter(|import| import.file == RELATIONS).map(|import| import.rows).sum()
    }
}

/// How far the detail store was behind.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Lag {
    pub(crate) events: u64,
    /// Until it had caught up.
    pub(crate) seconds: f64,
}

/// Bytes that a directory takes on the disk.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Disk {
    pub(crate) what: String,
    /// What the files hold.
    pub(crate) bytes: u64,
    /// What is allocated, preallocation included.
    pub(crate) allocated_bytes: u64,
}

impl World {
    /// An empty hub.
    pub(crate) fn create(place: &Place) -> Result<Self> {
        let temporary = match (&place.world, &place.within) {
            (Some(_), _) => None,
            (None, Some(within)) => Some(TempDir::new_in(within)?),
            (None, None) => Some(TempDir::new()?),
        };
        let dir = place.world.clone().or_else(|| Some(temporary.as_ref()?.path().to_owned())).unwrap_or_default();
        fs::create_dir_all(&dir)?;
        let world = Self::at(place, fs::canonicalize(dir)?, temporary);
        let ca = Authority::init(&world.path("pki"), TRUST_DOMAIN, 365 * DAY, 30 * DAY)?;
        ca.issue_server(&["localhost".to_owned()], &[std::net::Ipv4Addr::LOCALHOST.into()], 90 * DAY)?;
        for client in [COURT, BANK, OPERATOR] {
            ca.issue_client(client, 90 * DAY)?;
        }
        fs::write(world.config_path(), CONFIG)?;
        fs::write(world.path("policy.toml"), policy::text(policy::SMALL, false))?;
        let mut init = world.program("xinhubd");
        init.arg("init").arg("--config").arg(world.config_path());
        succeed(init)?;
        Ok(world)
    }

    fn at(place: &Place, dir: PathBuf, temporary: Option<TempDir>) -> Self {
        let beside = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.to_owned()));
        Self {
            dir,
            bin_dir: place.bin_dir.clone().or(beside).unwrap_or_default(),
            questions: OnceLock::new(),
            _temporary: temporary,
        }
    }

    /// A hub with so many listings and their relations, which doesn't run: the one that was kept, or a new one. It knows what its
    /// audiences hold: it would find out by itself, beside what is measured.
    pub(crate) async fn filled(place: &Place, rows: u64) -> Result<(Self, Filled)> {
        Self::filled_with(place, rows, With::Relations).await
    }

    /// The same, without relations where they would take too long. One that is kept is kept for every command.
    pub(crate) async fn filled_with(place: &Place, rows: u64, with: With) -> Result<(Self, Filled)> {
        let with = if place.is_kept() { With::Relations } else { with };
        if let Some(dir) = place.world.as_ref().filter(|dir| dir.exists()) {
            let world = Self::at(place, fs::canonicalize(dir)?, None);
            let told = fs::read_to_string(world.path(FILLED));
            let told =
                told.map_err(|error| format!("{} holds no world, or half of one ({error}): remove it", dir.display()))?;
            let filled: Filled = serde_json::from_str(&told)?;
            if filled.rows != rows {
                return Err(format!("{} has {} rows, not {rows}", dir.display(), filled.rows).into());
            }
            return Ok((world, filled));
        }
        let world = Self::create(place)?;
        let hub = world.serve(On::All).await?;
        let mut filled = world.fill(&hub, rows, with).await?;
        note("waiting for details and a snapshot of what was imported");
        let (lag, ()) = tokio::try_join!(world.lag(&hub), world.snapshot_made(&hub))?;
        filled.lag = Some(lag);
        world.keep(hub, &filled).await?;
        Ok((world, filled))
    }

    /// Stops a hub that was filled, and lets later runs take it as it is.
    pub(crate) async fn keep(&self, hub: Server, filled: &Filled) -> Result<()> {
        hub.stop().await?;
        Ok(fs::write(self.path(FILLED), serde_json::to_string_pretty(filled)?)?)
    }

    /// Waits for a snapshot of what it has, so that it knows what its audiences hold.
    pub(crate) async fn snapshot_made(&self, hub: &Server) -> Result<()> {
        manifest(&self.client(hub, BANK).await?).await?;
        Ok(())
    }

    /// Makes so many rows, and imports them.
    pub(crate) async fn fill(&self, hub: &Server, rows: u64, with: With) -> Result<Filled> {
        self.synthesize(&Synthetic { rows, seed: FIRST_SEED, listings: LISTINGS, with }).await?;
        let mut imports = vec![self.import(hub, LISTINGS).await?];
        if with == With::Relations {
            imports.push(self.import(hub, RELATIONS).await?);
        }
        Ok(Filled { rows, imports, peak_rss_mib: hub.usage()?.peak_rss_mib, lag: None })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("hub.toml")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(name));
        command.current_dir(&self.dir);
        command
    }

    /// The hub, as soon as it listens.
    pub(crate) async fn start(&self, on: On) -> Result<Server> {
        Server::start(self.hub(), &self.path("hub.log"), on).await
    }

    /// The hub, to be measured.
    pub(crate) async fn serve(&self, on: On) -> Result<Server> {
        self.settled(self.start(on).await?).await
    }

    /// Measures something of the hub, which is stopped then.
    pub(crate) async fn served<T>(&self, measure: impl AsyncFnOnce(&Server) -> Result<T>) -> Result<T> {
        let hub = self.serve(On::Servers).await?;
        let figures = measure(&hub).await?;
        hub.stop().await?;
        Ok(figures)
    }

    /// Waits until it has opened its store of details too: that takes seconds of the processor that is measured.
    async fn settled(&self, server: Server) -> Result<Server> {
        self.details_caught_up(&server).await?;
        Ok(server)
    }

    pub(crate) fn hub(&self) -> Command {
        self.hub_by(&self.config_path())
    }

    fn hub_by(&self, config: &Path) -> Command {
        let mut command = self.program("xinhubd");
        command.arg("serve").arg("--config").arg(config);
        command
    }

    /// The hub, by another policy, for which a configuration is written.
    pub(crate) async fn serve_by(&self, policy: &Path) -> Result<Server> {
        // Paths in it are taken from its directory.
        let config = self.path(OTHER_CONFIG);
        fs::write(&config, format!("policy = {policy:?}\n{CONFIG}"))?;
        self.settled(Server::start(self.hub_by(&config), &self.path("hub.log"), On::Servers).await?).await
    }

    /// The hub, by clocks that are so much ahead.
    pub(crate) async fn serve_ahead(&self, ahead: Duration) -> Result<Server> {
        let mut command = own(MIMALLOC, "hub-ahead", "--config", &self.config_path())?;
        command.arg("--ahead-ms").arg(ahead.as_millis().to_string());
        Server::start(command, &self.path("hub.log"), On::Servers).await
    }

    /// Another hub with the same listings, on the same disk.
    pub(crate) fn copied(&self) -> Result<Self> {
        note("copying the hub's directory");
        let to = TempDir::new_in(&self.dir)?;
        for part in PARTS {
            copy(&self.path(part), &to.path().join(part))?;
        }
        Ok(Self {
            dir: to.path().to_owned(),
            bin_dir: self.bin_dir.clone(),
            questions: self.questions.clone(),
            _temporary: Some(to),
        })
    }

    /// The empty RPC, as the hub serves its own.
    pub(crate) async fn serve_tuned_echo(&self) -> Result<Server> {
        Server::start(self.tuned_echo()?, &self.path("tuned-echo.log"), On::Servers).await
    }

    pub(crate) fn tuned_echo(&self) -> Result<Command> {
        own(MIMALLOC, "echo-server", "--config", &self.config_path())
    }

    /// The empty RPC, out of the box.
    pub(crate) async fn serve_stock_echo(&self) -> Result<Server> {
        let command = own(SYSTEM_MALLOC, "stock-echo-server", "--pki", &self.path("pki"))?;
        Server::start(command, &self.path("stock-echo.log"), On::Servers).await
    }

    /// What the detail store of a hub that doesn't run takes, in a process of its own.
    pub(crate) async fn details_alone(&self, listings: u64) -> Result<details::Alone> {
        let mut command = own(MIMALLOC, "details-alone", "--data-dir", &self.path("data"))?;
        command.arg("--listings").arg(listings.to_string());
        Ok(serde_json::from_slice(&tokio::task::spawn_blocking(|| succeed(command)).await??)?)
    }

    /// The bare broadcast.
    pub(crate) async fn serve_broadcast(&self) -> Result<Server> {
        let command = own(MIMALLOC, "broadcast-server", "--config", &self.config_path())?;
        Server::start(command, &self.path("broadcast.log"), On::Servers).await
    }

    /// Raw bytes.
    pub(crate) async fn serve_raw(&self) -> Result<Server> {
        let command = own(SYSTEM_MALLOC, "raw-server", "--pki", &self.path("pki"))?;
        Server::start(command, &self.path("raw.log"), On::Servers).await
    }

    /// Makes rows: the same from one seed in every run of a day.
    async fn synthesize(&self, what: &Synthetic<'_>) -> Result<()> {
        let Synthetic { rows, seed, listings, with } = what;
        note(format_args!("making {rows} synthetic rows"));
        let mut command = self.program("xinhub");
        command.args(["synthesize", "--rows", &rows.to_string(), "--seed", &seed.to_string(), "--court", "leizhou"]);
        command.args(["--court-name", COURT_NAME, "--out", listings]);
        if *seed == FIRST_SEED {
            command.args(["--answers", "answers.csv"]);
        }
        if *with == With::Relations {
            command.args(["--relations", RELATIONS]);
        }
        tokio::task::spawn_blocking(|| succeed(command)).await??;
        Ok(())
    }

    /// Makes rows that no earlier run has brought.
    pub(crate) async fn synthesize_more(&self, rows: u64, listings: &str) -> Result<()> {
        let (seed, _) = uuid::Uuid::now_v7().as_u64_pair();
        self.synthesize(&Synthetic { rows, seed, listings, with: With::Listings }).await
    }

    /// Imports a file by `xinhub import`, as a court would.
    pub(crate) async fn import(&self, server: &Server, file: &str) -> Result<Imported> {
        note(format_args!("importing {file}"));
        let (certificate, key) = self.certificate(COURT);
        let mut command = self.program("xinhub");
        command.args(["import", file, "--output", "json", "--actor", "bench", "--post", "clerk", "--endpoint"]);
        command.arg(format!("https://{}", server.address)).arg("--ca").arg(self.path("pki/ca.pem"));
        command.arg("--cert").arg(certificate).arg("--key").arg(key);
        if file == RELATIONS {
            command.arg("--relations");
        }
        let began = Instant::now();
        let cpu_before = server.usage()?.cpu_s;
        let told = tokio::task::spawn_blocking(|| succeed(command)).await??;
        let seconds = began.elapsed().as_secs_f64();
        let told: serde_json::Value = serde_json::from_slice(&told)?;
        let count = |key: &str| told.get(key).and_then(serde_json::Value::as_u64).unwrap_or(0);
        let (rows, added) = (count("rows"), count("added"));
        if added != rows {
            return Err(format!("{file}: {added} of {rows} rows were added").into());
        }
        let hub_cpu_s = server.usage()?.cpu_s - cpu_before;
        Ok(Imported { file: file.to_owned(), rows, seconds, rows_per_s: rows as f64 / seconds, hub_cpu_s })
    }

    pub(crate) fn certificate(&self, client: &str) -> (PathBuf, PathBuf) {
        (self.path(&format!("pki/{client}.pem")), self.path(&format!("pki/{client}.key")))
    }

    /// A client with a connection of its own.
    pub(crate) async fn client(&self, server: &Server, client: &str) -> Result<Hub> {
        let (certificate, key) = self.certificate(client);
        let endpoint = format!("https://{}", server.address);
        let mut config = Config::new(endpoint, self.path("pki/ca.pem"), certificate, key);
        config.timeouts.lookup = Duration::from_secs(30);
        Ok(Hub::connect(config).await?)
    }

    pub(crate) async fn operator(&self, server: &Server) -> Result<Hub> {
        self.client(server, OPERATOR).await
    }

    pub(crate) async fn status(&self, server: &Server) -> Result<v1::GetStatusResponse> {
        Ok(self.operator(server).await?.admin().get_status(v1::GetStatusRequest {}).await?)
    }

    /// Waits until details have caught up.
    pub(crate) async fn details_caught_up(&self, server: &Server) -> Result<()> {
        let admin = self.operator(server).await?.admin();
        loop {
            let status = admin.get_status(v1::GetStatusRequest {}).await?;
            if status.detail_revision >= status.revision {
                return Ok(());
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// How far details are behind, and for how long, which is waited for.
    pub(crate) async fn lag(&self, server: &Server) -> Result<Lag> {
        let began = Instant::now();
        let status = self.status(server).await?;
        let events = status.revision.saturating_sub(status.detail_revision);
        self.details_caught_up(server).await?;
        Ok(Lag { events, seconds: began.elapsed().as_secs_f64() })
    }

    /// Takes away the snapshots for replicas of a hub that doesn't run: the next replica has one made.
    pub(crate) fn forget_snapshots(&self) -> Result<()> {
        let dir = self.path("data/replicas");
        for entry in if dir.exists() { Some(fs::read_dir(dir)?) } else { None }.into_iter().flatten() {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "snap" || extension == "about") {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }

    /// Each part of the data directory.
    pub(crate) fn disk(&self) -> Result<Vec<Disk>> {
        let mut parts = Vec::new();
        for entry in fs::read_dir(self.path("data"))? {
            let entry = entry?;
            let (bytes, allocated_bytes) = size(&entry.path())?;
            parts.push(Disk { what: entry.file_name().to_string_lossy().into_owned(), bytes, allocated_bytes });
        }
        parts.sort_by(|one, other| one.what.cmp(&other.what));
        Ok(parts)
    }
}

/// A server that is in this program, by the one of its two forms that is called this.
fn own(program: &str, name: &str, option: &str, path: &Path) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?.with_file_name(program));
    command.arg(name).arg(option).arg(path);
    Ok(command)
}

/// How an import went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) hub_cpu_s: f64,
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        fs::copy(from, to)?;
        return Ok(());
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    // Keys are for their owner's eyes only, and the hub sees to it.
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    Ok(())
}

fn size(path: &Path) -> Result<(u64, u64)> {
    let metadata = fs::symlink_metadata(path)?;
    if !metadata.is_dir() {
        // st_blocks counts 512 bytes, whatever the file system's block is (stat(2)).
        return Ok((metadata.len(), metadata.blocks() * 512));
    }
    let mut sum = (0, 0);
    for entry in fs::read_dir(path)? {
        let (bytes, allocated) = size(&entry?.path())?;
        sum = (sum.0 + bytes, sum.1 + allocated);
    }
    Ok(sum)
}

/// Runs to the end; what it printed.
fn succeed(mut command: Command) -> Result<Vec<u8>> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let output = spawn(&mut command, On::All)?.wait_with_output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{:?} ended with {}: {said}", command.get_program(), output.status).into());
    }
    Ok(output.stdout)
}
