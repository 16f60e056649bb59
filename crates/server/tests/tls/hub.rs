//! A gate on a loopback port with the health service behind it, and clients for it.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tower::ServiceExt;
use xinhub_server::serve::{DrainReport, Gate, Limits, Peer};
use xinhub_server::tls::{TlsSettings, TlsState};

use super::pki::{Ca, Leaf, TRUST_DOMAIN};

/// The client that the test policy pins.
pub(crate) const PINNED: &str = "court-pinned";

pub(crate) struct Hub {
    pub(crate) ca: Ca,
    pub(crate) dir: TempDir,
    pub(crate) address: SocketAddr,
    pub(crate) gate: Arc<Gate>,
    pub(crate) tls: Arc<TlsState>,
    pub(crate) shutdown: CancellationToken,
    /// The peers of the requests so far.
    pub(crate) peers: Arc<Mutex<Vec<Peer>>>,
    /// How many requests the service works on now.
    pub(crate) running: Arc<AtomicUsize>,
    pub(crate) serving: JoinHandle<DrainReport>,
}

pub(crate) fn settings(dir: &TempDir) -> TlsSettings {
    TlsSettings {
        cert_chain_path: dir.path().join("server.pem"),
        key_path: dir.path().join("server.key"),
        client_ca_path: dir.path().join("ca.pem"),
        crl_paths: vec![dir.path().join("crl.pem")],
        trust_domain: TRUST_DOMAIN.to_owned(),
    }
}

pub(crate) fn write_server(dir: &TempDir, server: &Leaf) {
    std::fs::write(dir.path().join("server.pem"), &server.chain_pem).unwrap();
    let key_path = dir.path().join("server.key");
    std::fs::write(&key_path, &server.key_pem).unwrap();
    std::fs::set_permissions(key_path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Hub {
    /// With an empty list, valid for a week.
    pub(crate) async fn start() -> Self {
        Self::start_with(Limits::default(), |ca| ca.crl(1, 7 * 86_400, &[])).await
    }

    pub(crate) async fn start_with(limits: Limits, crl: impl FnOnce(&Ca) -> String) -> Self {
        let ca = Ca::new("Test CA");
        let dir = TempDir::new().unwrap();
        write_server(&dir, &ca.server());
        std::fs::write(dir.path().join("ca.pem"), &ca.pem).unwrap();
        std::fs::write(dir.path().join("crl.pem"), crl(&ca)).unwrap();
        let tls = TlsState::load(settings(&dir), Arc::new(|id| id == PINNED)).unwrap();
        let gate = Gate::new(Arc::clone(&tls), limits).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let peers = Arc::new(Mutex::new(Vec::new()));
        let running = Arc::new(AtomicUsize::new(0));
        let serving = tokio::spawn({
            let (gate, shutdown) = (Arc::clone(&gate), shutdown.clone());
            let service = service(Arc::clone(&peers), Arc::clone(&running));
            async move { gate.serve(listener, service, shutdown).await }
        });
        Self { ca, dir, address, gate, tls, shutdown, peers, running, serving }
    }

    pub(crate) fn write_crl(&self, pem: &str) {
        std::fs::write(self.dir.path().join("crl.pem"), pem).unwrap();
    }

    pub(crate) async fn connect(&self, leaf: &Leaf) -> Client {
        Client::over(self.tls_stream(self.client_config(Some(leaf))).await.unwrap()).await
    }

    /// Whether a call gets through with this certificate.
    pub(crate) async fn call_once(&self, config: ClientConfig) -> bool {
        match self.tls_stream(config).await {
            Ok(stream) => match Client::try_over(stream).await {
                Some(client) => client.call().await.is_ok(),
                None => false,
            },
            Err(_) => false,
        }
    }

    pub(crate) fn client_config(&self, leaf: Option<&Leaf>) -> ClientConfig {
        self.client_config_of(leaf, &[&rustls::version::TLS13], aws_lc_rs::default_provider())
    }

    pub(crate) fn client_config_of(
        &self,
        leaf: Option<&Leaf>,
        versions: &[&'static SupportedProtocolVersion],
        provider: CryptoProvider,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.certificate.clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(provider))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match leaf {
            Some(leaf) => builder.with_client_auth_cert(leaf.chain.clone(), leaf.key()).unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        config
    }

    pub(crate) async fn tls_stream(&self, config: ClientConfig) -> io::Result<TlsStream<TcpStream>> {
        let stream = TcpStream::connect(self.address).await?;
        TlsConnector::from(Arc::new(config)).connect("localhost".try_into().unwrap(), stream).await
    }

    pub(crate) async fn stop(self) -> DrainReport {
        self.shutdown.cancel();
        self.serving.await.unwrap()
    }
}

/// The health service; a request waits as long as its header `x-delay-ms` says.
fn service(
    peers: Arc<Mutex<Vec<Peer>>>,
    running: Arc<AtomicUsize>,
) -> impl tower::Service<
    Request<Incoming>,
    Response = http::Response<tonic::body::Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<http::Response<tonic::body::Body>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ 'static {
    let (_, health) = tonic_health::server::health_reporter();
    let routes = tonic::service::Routes::new(health).prepare();
    tower::service_fn(move |request: Request<Incoming>| {
        let routes = routes.clone();
        let running = Running::one_more(&running);
        peers.lock().unwrap().push(request.extensions().get::<Peer>().unwrap().clone());
        let delay_ms = request.headers().get("x-delay-ms").map(|value| value.to_str().unwrap().parse().unwrap());
        async move {
            tokio::time::sleep(Duration::from_millis(delay_ms.unwrap_or(0))).await;
            let answer = routes.oneshot(request).await;
            drop(running);
            answer
        }
    })
}

/// Dropped with the call, also when it is broken off.
struct Running(Arc<AtomicUsize>);

impl Running {
    fn one_more(running: &Arc<AtomicUsize>) -> Self {
        running.fetch_add(1, SeqCst);
        Self(Arc::clone(running))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

/// One connection; when it has ended, calls fail.
#[derive(Clone)]
pub(crate) struct Client(pub(crate) HealthClient<Channel>);

impl Client {
    pub(crate) async fn over(stream: TlsStream<TcpStream>) -> Self {
        Self::try_over(stream).await.unwrap()
    }

    async fn try_over(stream: TlsStream<TcpStream>) -> Option<Self> {
        let mut once = Some(TokioIo::new(stream));
        let connector = tower::service_fn(move |_| {
            let stream = once.take().ok_or_else(|| io::Error::other("the connection has ended"));
            std::future::ready(stream)
        });
        let channel = Endpoint::from_static("http://localhost").connect_with_connector(connector).await;
        channel.ok().map(|channel| Self(HealthClient::new(channel)))
    }

    pub(crate) async fn call(&self) -> Result<(), tonic::Status> {
        self.call_for(Duration::ZERO).await
    }

    pub(crate) async fn call_for(&self, delay: Duration) -> Result<(), tonic::Status> {
        let mut request = tonic::Request::new(HealthCheckRequest::default());
        request.metadata_mut().insert("x-delay-ms", delay.as_millis().to_string().parse().unwrap());
        self.0.clone().check(request).await.map(|_| ())
    }
}

/// Waits for `condition`, which another task brings about.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never came true: {what}");
}
