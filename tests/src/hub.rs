//! One hub: its directory, its process, its clients.

use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::{Arc, Weak};
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process, prlimit};
use tempfile::TempDir;
use tokio::sync::Mutex;
use xinhub_cli::certs::ca::{Authority, Revoke};
use xinhub_client::{Config, v1};

use crate::wait::until;
use crate::{Court, binaries, parties};

const TRUST_DOMAIN: &str = "test.xinhub.invalid";
const DAY: Duration = Duration::from_secs(86_400);

/// What a hub is made with.
#[derive(Clone, Debug)]
pub struct Setup {
    /// `release` of the policy.
    pub release: &'static str,
    /// Lines for `hub.toml` above its tables.
    pub top: String,
    /// `[limits]`.
    pub limits: String,
    /// `[ledger]`.
    pub ledger: String,
    /// `[audit]`.
    pub audit: String,
    /// Where the data lie, if not in the hub's own directory.
    pub data_dir: Option<PathBuf>,
    /// What runs the hub, such as a shell with limits: the program and its arguments, before the hub's own.
    pub under: Vec<String>,
}

impl Default for Setup {
    fn default() -> Self {
        Setup {
            release: "one",
            top: String::new(),
            limits: String::new(),
            ledger: "segment_mib = 4".to_owned(),
            audit: "segment_mib = 4".to_owned(),
            data_dir: None,
            under: Vec::new(),
        }
    }
}

/// A hub. Its process ends when this is dropped.
#[derive(Debug)]
pub struct Hub {
    dir: TempDir,
    ca: Authority,
    setup: Setup,
    process: Option<Process>,
    /// Where it serves within this process, if it does: gRPC and metrics.
    pub(crate) within: Option<(SocketAddr, SocketAddr)>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    grpc: SocketAddr,
    metrics: SocketAddr,
}

impl Drop for Process {
    fn drop(&mut self) {
        // One that has ended already is only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The hub that the tests of one file share: started by the first that asks, and ended with the last that holds it.
///
/// # Panics
/// Where it can't be started.
pub async fn shared() -> Arc<Hub> {
    static SHARED: Mutex<Weak<Hub>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(hub) = shared.upgrade() {
        return hub;
    }
    let hub = Arc::new(Hub::start().await);
    *shared = Arc::downgrade(&hub);
    hub
}

impl Hub {
    /// A hub that serves.
    pub async fn start() -> Hub {
        Hub::start_with(Setup::default()).await
    }

    /// A hub that serves, made so.
    pub async fn start_with(setup: Setup) -> Hub {
        let mut hub = Hub::init(setup);
        hub.serve().await;
        hub
    }

    /// A hub that was made and does not run.
    pub fn init(setup: Setup) -> Hub {
        let dir = TempDir::new().unwrap();
        let ca = Authority::init(&dir.path().join("pki"), TRUST_DOMAIN, 365 * DAY, 30 * DAY).unwrap();
        ca.issue_server(&["localhost".to_owned()], &["127.0.0.1".parse().unwrap()], 90 * DAY).unwrap();
        for client in parties::ALL {
            ca.issue_client(client, 90 * DAY).unwrap();
        }
        let hub = Hub { dir, ca, setup, process: None, within: None };
        fs::write(hub.policy_path(), parties::policy(hub.setup.release)).unwrap();
        fs::write(hub.config_path(), hub.config()).unwrap();
        let made = hub.daemon("init");
        assert!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
        hub
    }

    fn config(&self) -> String {
        let Setup { top, limits, ledger, audit, .. } = &self.setup;
        let data_dir = self.data_dir();
        format!(
            "listen = \"127.0.0.1:0\"\nmetrics = \"127.0.0.1:0\"\ndata_dir = \"{}\"\nkeys_dir = \"keys\"\n{top}\n\
             [tls]\ncertificate = \"pki/server.pem\"\nkey = \"pki/server.key\"\nclient_ca = \"pki/ca.pem\"\n\
             crls = [\"pki/crl.pem\"]\ntrust_domain = \"{TRUST_DOMAIN}\"\n\
             [limits]\n{limits}\n[ledger]\n{ledger}\n[audit]\n{audit}\n",
            data_dir.display()
        )
    }

    /// Everything that belongs to it.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Journal, audit, details, snapshots.
    pub fn data_dir(&self) -> PathBuf {
        self.setup.data_dir.clone().unwrap_or_else(|| self.dir.path().join("data"))
    }

    /// `hub.toml`.
    pub fn config_path(&self) -> PathBuf {
        self.dir.path().join("hub.toml")
    }

    /// `policy.toml`.
    pub fn policy_path(&self) -> PathBuf {
        self.dir.path().join("policy.toml")
    }

    /// What it has written to stderr, over all its runs.
    pub fn log_path(&self) -> PathBuf {
        self.dir.path().join("hub.log")
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The files of a certificate: chain and key.
    pub fn certificate(&self, client: &str) -> (PathBuf, PathBuf) {
        let pki = self.dir.path().join("pki");
        (pki.join(format!("{client}.pem")), pki.join(format!("{client}.key")))
    }

    /// Who its certificate chains to.
    pub fn ca_path(&self) -> PathBuf {
        self.ca.certificate_path()
    }

    /// Issues another certificate for the hub itself, in place of the one it has.
    pub fn renew_own_certificate(&self) {
        let (certificate, key) = self.certificate("server");
        fs::remove_file(certificate).unwrap();
        fs::remove_file(key).unwrap();
        self.ca.issue_server(&["localhost".to_owned()], &["127.0.0.1".parse().unwrap()], 90 * DAY).unwrap();
    }

    /// Revokes a client's certificates. In force once the hub has reloaded.
    pub fn revoke(&self, client: &str) {
        self.ca.revoke(&Revoke::Client(client.to_owned()), 30 * DAY).unwrap();
    }

    /// Has the revocation list end after this time.
    pub fn let_crl_end(&self, lifetime: Duration) {
        self.ca.renew_crl(lifetime).unwrap();
    }

    /// From now on no write past the first bytes of a file succeeds, until the next start.
    pub fn let_writes_fail(&self) {
        let pid = Pid::from_child(&self.process.as_ref().expect("the hub runs").child);
        let limit = Rlimit { current: Some(16), maximum: Some(16) };
        prlimit(Some(pid), Resource::Fsize, limit).unwrap();
    }

    /// Runs `xinhubd COMMAND` to its end; one that doesn't end is ended.
    pub fn daemon(&self, command: &str) -> Output {
        let files = [self.dir.path().join("command.out"), self.dir.path().join("command.err")];
        let [out, err] = files.each_ref().map(|path| File::create(path).unwrap());
        let mut run = Command::new(binaries::xinhubd());
        run.arg(command).arg("--config").arg(self.config_path()).stdin(Stdio::null()).stdout(out).stderr(err);
        let mut child = run.spawn().unwrap();
        let status = (0..12_000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            child.try_wait().unwrap()
        });
        let [stdout, stderr] = files.map(|path| fs::read(path).unwrap());
        let Some(status) = status else {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("xinhubd {command} does not end: {}", String::from_utf8_lossy(&stderr));
        };
        Output { status, stdout, stderr }
    }

    fn spawn(&self) -> (Child, u64) {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path()).unwrap();
        let begins = log.metadata().unwrap().len();
        let mut words: Vec<std::ffi::OsString> = self.setup.under.iter().map(Into::into).collect();
        words.extend([binaries::xinhubd().into(), "serve".into(), "--config".into(), self.config_path().into()]);
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        (command.spawn().unwrap(), begins)
    }

    /// Starts it and waits until it serves.
    pub async fn serve(&mut self) {
        assert!(self.process.is_none(), "the hub runs already");
        let (child, begins) = self.spawn();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on a failure ends the process too.
        let process = self.process.insert(Process { child, grpc: any, metrics: any });
        let log_path = self.dir.path().join("hub.log");
        let found = until("the hub serves, or ends", || {
            let found = match listening(&tail(&log_path, begins)) {
                Some(addresses) => Some(Ok(addresses)),
                None => process.child.try_wait().unwrap().map(Err),
            };
            async move { found }
        });
        let (grpc, metrics) = match found.await {
            Ok(addresses) => addresses,
            Err(status) => panic!("the hub ended with {status}:\n{}", tail(&log_path, begins)),
        };
        (process.grpc, process.metrics) = (grpc, metrics);
    }

    /// Starts it where it is expected to refuse; returns how it ended and what it said.
    pub async fn serve_in_vain(&mut self) -> (ExitStatus, String) {
        let (child, begins) = self.spawn();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        self.process = Some(Process { child, grpc: any, metrics: any });
        let status = self.ended().await;
        (status, tail(&self.log_path(), begins))
    }

    /// Waits until its process has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        let process = self.process.as_mut().expect("the hub runs");
        let status = until("the hub ends", || {
            let status = process.child.try_wait().unwrap();
            async move { status }
        });
        let status = status.await;
        self.process = None;
        status
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.process.as_ref().expect("the hub runs").child), signal).unwrap();
    }

    /// Tells it to stop.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it in an orderly way.
    pub async fn stop(&mut self) {
        self.terminate();
        let status = self.ended().await;
        assert!(status.success(), "the hub ended with {status}:\n{}", self.log());
    }

    /// What the process has in memory, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let pid = self.process.as_ref().expect("the hub runs").child.id();
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1_024
    }

    /// Stops the process in its tracks, and lets it go on after a time.
    pub async fn pause(&self, length: Duration) {
        self.signal(Signal::STOP);
        tokio::time::sleep(length).await;
        self.signal(Signal::CONT);
    }

    /// kill -9.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Takes away all that it has written, while it does not run, and makes it anew: with the same keys it is another history.
    ///
    /// # Panics
    /// Where it can't be made.
    pub fn begin_anew(&self) {
        fs::remove_dir_all(self.data_dir()).unwrap();
        let made = self.daemon("init");
        assert!(made.status.success(), "init: {}", String::from_utf8_lossy(&made.stderr));
    }

    /// kill -9, and start again.
    pub async fn kill_and_restart(&mut self) {
        self.kill();
        self.serve().await;
    }

    /// Has it read its files again, and waits until it has. Returns what it logged of it.
    pub async fn reload(&self) -> String {
        let begins = fs::metadata(self.log_path()).unwrap().len();
        self.signal(Signal::HUP);
        until("the hub reloads", || {
            let log = tail(&self.log_path(), begins);
            let done = log.contains("reloaded policy") || log.contains("reload:");
            async move { done.then_some(log) }
        })
        .await
    }

    /// Puts another policy in force.
    pub async fn put_policy(&self, text: &str) {
        fs::write(self.policy_path(), text).unwrap();
        let log = self.reload().await;
        assert!(log.contains("reloaded policy"), "{log}");
    }

    /// Where it serves gRPC.
    pub fn grpc(&self) -> SocketAddr {
        self.within.map_or_else(|| self.process.as_ref().expect("the hub runs").grpc, |(grpc, _)| grpc)
    }

    /// Where it serves metrics.
    pub fn metrics(&self) -> SocketAddr {
        self.within.map_or_else(|| self.process.as_ref().expect("the hub runs").metrics, |(_, metrics)| metrics)
    }

    /// What its metrics say: one `GET` over plain HTTP.
    pub async fn metrics_text(&self) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(self.metrics()).await.unwrap();
        let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).await.unwrap();
        assert!(response.starts_with("HTTP/1.1 200"), "{response}");
        response
    }

    /// Waits until so many records wait for the disk, those of calls under way included.
    pub async fn until_records_wait(&self, count: u64) {
        let line = format!("xinhub_audit_waiting {count}");
        let seen = async || self.metrics_text().await.lines().any(|one| one == line).then_some(());
        until("so many records wait for the disk", seen).await;
    }

    /// How a client reaches it.
    pub fn client_config(&self, client: &str) -> Config {
        let (certificate, key) = self.certificate(client);
        let mut config = Config::new(format!("https://{}", self.grpc()), self.ca_path(), certificate, key);
        // Other work may hold the machine up.
        config.timeouts.lookup = Duration::from_secs(20);
        config
    }

    /// A client with a connection of its own.
    pub async fn client(&self, client: &str) -> xinhub_client::Hub {
        xinhub_client::Hub::connect(self.client_config(client)).await.unwrap()
    }

    /// The court `leizhou`.
    pub async fn court(&self) -> Court {
        Court::new(self.client(parties::COURT).await)
    }

    /// The court `xuwen`.
    pub async fn other_court(&self) -> Court {
        Court::new(self.client(parties::OTHER_COURT).await)
    }

    /// What an operator sees.
    pub async fn status(&self) -> v1::GetStatusResponse {
        let operator = self.client(parties::OPERATOR).await;
        operator.admin().get_status(v1::GetStatusRequest {}).await.unwrap()
    }

    /// Waits until details have caught up with what was written.
    pub async fn details_caught_up(&self) {
        let operator = self.client(parties::OPERATOR).await;
        until("details catch up", || {
            let admin = operator.admin();
            async move {
                let status = admin.get_status(v1::GetStatusRequest {}).await.unwrap();
                (status.detail_revision >= status.revision).then_some(())
            }
        })
        .await;
    }
}

/// The addresses of the line that says that calls are answered.
fn listening(log: &str) -> Option<(SocketAddr, SocketAddr)> {
    log.lines().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let address = |key: &str| line.get(key)?.as_str()?.parse().ok();
        (line.get("message")?.as_str()? == "listening").then(|| address("listen").zip(address("metrics")))?
    })
}

/// A file from this byte on; whole lines alone.
fn tail(path: &Path, begins: u64) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut bytes = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        file.seek(SeekFrom::Start(begins))?;
        file.read_to_end(&mut bytes)
    });
    read.unwrap();
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    String::from_utf8_lossy(&bytes[..whole]).into_owned()
}
