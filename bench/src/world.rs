//! A hub's directory with everything in it: certificates, policy, configuration, synthetic rows.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use xinhub_cli::certs::ca::Authority;
use xinhub_client::{Config, Hub, v1};

use crate::process::Server;
use crate::{Result, note};

pub(crate) const COURT: &str = "court";
pub(crate) const BANK: &str = "bank";
const OPERATOR: &str = "operator";
const TRUST_DOMAIN: &str = "bench.xinhub.invalid";
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
"#;

/// Rates and quotas that no run reaches, so that they are charged as in earnest and refuse nothing.
const POLICY: &str = r#"format = 1
release = "one"
go_live = 2099-01-01
[[audience]]
id = "lenders"
measures = ["credit.lending"]
[[court]]
id = "leizhou"
name_zh = "广东省雷州市人民法院"
[[client]]
id = "court"
class = "court"
court = "leizhou"
legal_basis = "bench"
expires = 2099-12-31
rate_per_second = 1_000_000
daily_quota = 1_000_000_000
[[client]]
id = "bank"
class = "bank"
unit = "central-bank"
legal_basis = "bench"
impact_assessment = "bench"
expires = 2099-12-31
reach = ["online", "filter", "exact"]
audience = "lenders"
measures = [{ code = "credit.lending" }]
fields = ["relation", "effect"]
rate_per_second = 1_000_000
daily_quota = 1_000_000_000
[[client]]
id = "operator"
class = "operator"
legal_basis = "bench"
expires = 2099-12-31
rate_per_second = 1_000
daily_quota = 1_000_000
"#;

/// Where it all happens.
#[derive(clap::Args)]
pub(crate) struct Place {
    /// On which disk: a directory of its own is made in this one, and removed
    #[arg(long, value_name = "DIR")]
    within: Option<PathBuf>,
    /// Where xinhubd and xinhub lie; if not given, beside this program
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// A hub that was made, and its programs.
pub(crate) struct World {
    dir: TempDir,
    bin_dir: PathBuf,
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
    pub(crate) fn create(place: &Place) -> Result<Self> {
        let beside = std::env::current_exe()?.parent().map(Path::to_owned).unwrap_or_default();
        let bin_dir = place.bin_dir.clone().unwrap_or(beside);
        let dir = match &place.within {
            Some(within) => TempDir::new_in(within)?,
            None => TempDir::new()?,
        };
        let world = Self { dir, bin_dir };
        let ca = Authority::init(&world.path("pki"), TRUST_DOMAIN, 365 * DAY, 30 * DAY)?;
        ca.issue_server(&["localhost".to_owned()], &[std::net::Ipv4Addr::LOCALHOST.into()], 90 * DAY)?;
        for client in [COURT, BANK, OPERATOR] {
            ca.issue_client(client, 90 * DAY)?;
        }
        fs::write(world.config_path(), CONFIG)?;
        fs::write(world.path("policy.toml"), POLICY)?;
        let mut init = world.program("xinhubd");
        init.arg("init").arg("--config").arg(world.config_path());
        succeed(init)?;
        Ok(world)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.path("hub.toml")
    }

    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.bin_dir.join(name));
        command.current_dir(self.dir.path());
        command
    }

    /// The hub.
    pub(crate) async fn serve(&self) -> Result<Server> {
        let mut command = self.program("xinhubd");
        command.arg("serve").arg("--config").arg(self.config_path());
        Server::start(command, &self.path("hub.log")).await
    }

    /// The empty service.
    pub(crate) async fn serve_echo(&self) -> Result<Server> {
        self.serve_own("echo-server").await
    }

    /// The bare broadcast.
    pub(crate) async fn serve_broadcast(&self) -> Result<Server> {
        self.serve_own("broadcast-server").await
    }

    /// A server that is in this program.
    async fn serve_own(&self, name: &str) -> Result<Server> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(name).arg("--config").arg(self.config_path());
        Server::start(command, &self.path(&format!("{name}.log"))).await
    }

    /// Adds to the configuration of servers that start from here on.
    pub(crate) fn allow(&self, more: &str) -> Result<()> {
        let config = fs::read_to_string(self.config_path())?;
        Ok(fs::write(self.config_path(), config + more)?)
    }

    /// Makes the rows, with seed 1: the same in every run of a day.
    pub(crate) async fn synthesize(&self, rows: u64) -> Result<()> {
        note(format_args!("making {rows} synthetic rows"));
        let mut command = self.program("xinhub");
        command.args(["synthesize", "--rows", &rows.to_string(), "--court", "leizhou"]);
        command.args(["--court-name", "广东省雷州市人民法院", "--out", "listings.csv"]);
        command.args(["--relations", "relations.csv", "--answers", "answers.csv"]);
        tokio::task::spawn_blocking(|| succeed(command)).await??;
        Ok(())
    }

    /// Makes other rows, `more.csv`.
    pub(crate) async fn synthesize_more(&self, rows: u64) -> Result<()> {
        let mut command = self.program("xinhub");
        command.args(["synthesize", "--rows", &rows.to_string(), "--seed", "2", "--court", "leizhou"]);
        command.args(["--court-name", "广东省雷州市人民法院", "--out", "more.csv"]);
        tokio::task::spawn_blocking(|| succeed(command)).await??;
        Ok(())
    }

    /// Imports a file by `xinhub import`, as a court would.
    pub(crate) async fn import(&self, server: &Server, file: &str) -> Result<Imported> {
        note(format_args!("importing {file}"));
        let (certificate, key) = self.certificate(COURT);
        let mut command = self.program("xinhub");
        command.args(["import", file, "--output", "json", "--actor", "bench", "--post", "clerk", "--endpoint"]);
        command.arg(format!("https://{}", server.address)).arg("--ca").arg(self.path("pki/ca.pem"));
        command.arg("--cert").arg(certificate).arg("--key").arg(key);
        if file.starts_with("relations") {
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

    fn certificate(&self, client: &str) -> (PathBuf, PathBuf) {
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

    pub(crate) async fn status(&self, server: &Server) -> Result<v1::GetStatusResponse> {
        Ok(self.client(server, OPERATOR).await?.admin().get_status(v1::GetStatusRequest {}).await?)
    }

    /// Waits until details have caught up; how long that took.
    pub(crate) async fn details_caught_up(&self, server: &Server) -> Result<Duration> {
        let began = Instant::now();
        let admin = self.client(server, OPERATOR).await?.admin();
        loop {
            let status = admin.get_status(v1::GetStatusRequest {}).await?;
            if status.detail_revision >= status.revision {
                return Ok(began.elapsed());
            }
            sleep(Duration::from_millis(100)).await;
        }
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

/// How an import went.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Imported {
    pub(crate) file: String,
    pub(crate) rows: u64,
    pub(crate) seconds: f64,
    pub(crate) rows_per_s: f64,
    pub(crate) hub_cpu_s: f64,
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
    let output = command.stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{:?}: {error}", command.get_program()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{:?} ended with {}: {said}", command.get_program(), output.status).into());
    }
    Ok(output.stdout)
}
