//! The channel against a hub that stands in for the real one, over real mutual TLS on the loopback.
#![allow(clippy::unwrap_used)]

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::service::TowerToHyperService;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_stream::wrappers::ReceiverStream;
use tonic::service::Routes;
use tonic::{Request, Response, Status, Streaming};
use xinhub_api::reason::Failure;
use xinhub_api::v1::lookup_service_server::{LookupService, LookupServiceServer};
use xinhub_client::{Code, Config, Error, Hub, v1};

/// A CA, and the files of a hub and a client that it issued.
struct Authority {
    dir: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let authority = Self { dir: TempDir::new().unwrap(), issuer };
        std::fs::write(authority.path("ca.pem"), authority.issuer.pem()).unwrap();
        authority.issue("hub", "localhost", ExtendedKeyUsagePurpose::ServerAuth);
        authority.issue("client", "client.invalid", ExtendedKeyUsagePurpose::ClientAuth);
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes `NAME.pem` and `NAME.key`, over those that were there.
    fn issue(&self, name: &str, host: &str, usage: ExtendedKeyUsagePurpose) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new([host.to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn config(&self, hub: SocketAddr) -> Config {
        let endpoint = format!("https://localhost:{}", hub.port());
        let mut config = Config::new(endpoint, self.path("ca.pem"), self.path("client.pem"), self.path("client.key"));
        config.timeouts.connect = Duration::from_secs(5);
        config
    }
}

fn certificates(path: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(path).unwrap().map(Result::unwrap).collect()
}

/// Answers by the measure's code.
struct Answers;

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LookupService for Answers {
    async fn check(&self, request: Request<v1::CheckRequest>) -> Answered<v1::CheckResponse> {
        match &*request.into_inner().measure {
            "slow" => tokio::time::sleep(Duration::from_secs(30)).await,
            "refused" => {
                let failure = Failure::new(v1::Reason::Rate, "too many calls").retry_after(Duration::from_secs(3));
                return Err(failure.into());
            }
            _ => {}
        }
        let answer = v1::Answer { verdict: v1::Verdict::Clear.into(), ..Default::default() };
        Ok(Response::new(v1::CheckResponse { answer: Some(answer), ..Default::default() }))
    }

    async fn batch_check(&self, _: Request<v1::BatchCheckRequest>) -> Answered<v1::BatchCheckResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_announcements(
        &self,
        _: Request<v1::ListAnnouncementsRequest>,
    ) -> Answered<v1::ListAnnouncementsResponse> {
        Err(Status::unimplemented("not here"))
    }

    type CheckStreamStream = ReceiverStream<Result<v1::CheckStreamResponse, Status>>;

    async fn check_stream(
        &self,
        requests: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Answered<Self::CheckStreamStream> {
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        let mut requests = requests.into_inner();
        tokio::spawn(async move {
            while let Ok(Some(request)) = requests.message().await {
                let response = v1::CheckStreamResponse { correlation_id: request.correlation_id, result: None };
                sender.send(Ok(response)).await.unwrap();
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }

    async fn get_listing(&self, _: Request<v1::GetListingRequest>) -> Answered<v1::GetListingResponse> {
        Err(Status::unimplemented("not here"))
    }

    async fn list_listings(&self, _: Request<v1::ListListingsRequest>) -> Answered<v1::ListListingsResponse> {
        Err(Status::unimplemented("not here"))
    }
}

/// A hub that remembers who connected, and can drop everybody.
struct FakeHub {
    address: SocketAddr,
    peers: Arc<Mutex<Vec<CertificateDer<'static>>>>,
    connections: Arc<Mutex<JoinSet<()>>>,
}

impl FakeHub {
    async fn start(authority: &Authority) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&authority.path("ca.pem")).remove(0)).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build().unwrap();
        let key = PrivateKeyDer::from_pem_file(authority.path("hub.key")).unwrap();
        let mut tls = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&authority.path("hub.pem")), key)
            .unwrap();
        tls.alpn_protocols = vec![b"h2".to_vec()];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let hub = Self { address, peers: Arc::default(), connections: Arc::default() };
        let (peers, connections) = (Arc::clone(&hub.peers), Arc::clone(&hub.connections));
        let acceptor = TlsAcceptor::from(Arc::new(tls));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (peers, acceptor) = (Arc::clone(&peers), acceptor.clone());
                connections.lock().unwrap().spawn(async move {
                    let Ok(tls) = acceptor.accept(tcp).await else { return };
                    let peer = tls.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
                    peers.lock().unwrap().push(peer);
                    let routes = Routes::new(LookupServiceServer::new(Answers)).prepare();
                    let serving = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                        .serve_connection(TokioIo::new(tls), TowerToHyperService::new(routes));
                    let _ = serving.await;
                });
            }
        });
        hub
    }

    fn drop_everybody(&self) {
        self.connections.lock().unwrap().abort_all();
    }

    fn peers(&self) -> Vec<CertificateDer<'static>> {
        self.peers.lock().unwrap().clone()
    }
}

fn ask(measure: &str) -> v1::CheckRequest {
    v1::CheckRequest { measure: measure.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn answers_refusals_and_deadlines_are_told_apart() {
    let authority = Authority::new();
    let fake = FakeHub::start(&authority).await;
    let hub = Hub::connect(authority.config(fake.address)).await.unwrap();

    let answer = hub.lookup().check(ask("clear")).await.unwrap().answer.unwrap();
    assert_eq!(answer.verdict(), v1::Verdict::Clear);

    let refused = hub.lookup().check(ask("refused")).await.unwrap_err();
    assert_eq!((refused.code(), refused.reason()), (Code::ResourceExhausted, Some(v1::Reason::Rate)));
    assert_eq!(refused.retry_after(), Some(Duration::from_secs(3)));
    assert!(!refused.is_connection());

    let deadline = Duration::from_millis(200);
    let late = hub.lookup().within(deadline).check(ask("slow")).await.unwrap_err();
    assert!(matches!(late, Error::Deadline(given) if given == deadline), "{late:?}");

    let nowhere = hub.admin().get_status(v1::GetStatusRequest {}).await.unwrap_err();
    assert_eq!((nowhere.code(), nowhere.reason()), (Code::Unimplemented, None));
}

#[tokio::test]
async fn streams_answer_until_they_end() {
    let authority = Authority::new();
    let fake = FakeHub::start(&authority).await;
    let hub = Hub::connect(authority.config(fake.address)).await.unwrap();
    let requests = (1..=3).map(|correlation_id| v1::CheckStreamRequest { correlation_id, check: None });
    let mut responses = hub.lookup().check_stream(tokio_stream::iter(requests)).await.unwrap();
    let mut answered = Vec::new();
    while let Some(response) = responses.next().await.unwrap() {
        answered.push(response.correlation_id);
    }
    assert_eq!(answered, [1, 2, 3]);
}

#[tokio::test]
async fn a_lost_connection_is_made_anew_with_the_certificate_of_now() {
    let authority = Authority::new();
    let fake = FakeHub::start(&authority).await;
    let hub = Hub::connect(authority.config(fake.address)).await.unwrap();
    hub.lookup().check(ask("clear")).await.unwrap();
    let first = certificates(&authority.path("client.pem")).remove(0);

    authority.issue("client", "client.invalid", ExtendedKeyUsagePurpose::ClientAuth);
    let second = certificates(&authority.path("client.pem")).remove(0);
    fake.drop_everybody();
    hub.lookup().check(ask("clear")).await.unwrap();
    assert_eq!(fake.peers(), [first, second.clone()]);

    // A rotation that is half done: certificate and key don't match, so the last good pair serves.
    let key = std::fs::read(authority.path("hub.key")).unwrap();
    std::fs::write(authority.path("client.key"), key).unwrap();
    fake.drop_everybody();
    hub.lookup().check(ask("clear")).await.unwrap();
    assert_eq!(fake.peers()[2], second);
}

#[tokio::test]
async fn who_is_not_trusted_is_a_matter_of_connection() {
    let authority = Authority::new();
    let stranger = Authority::new();
    let fake = FakeHub::start(&authority).await;
    let connection = |error: Error| assert!(error.is_connection(), "{error:?}");

    // The hub is another's.
    connection(Hub::connect(stranger.config(fake.address)).await.unwrap_err());
    // The hub has another name.
    let mut elsewhere = authority.config(fake.address);
    elsewhere.server_name = Some("elsewhere.invalid".to_owned());
    connection(Hub::connect(elsewhere).await.unwrap_err());
    // The client is another's: told by the first call, since the hub judges after the handshake.
    let mut unknown = authority.config(fake.address);
    unknown.cert_path = stranger.path("client.pem");
    unknown.key_path = stranger.path("client.key");
    connection(Hub::connect_lazy(unknown).unwrap().lookup().check(ask("clear")).await.unwrap_err());
    // Nobody is there.
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    connection(Hub::connect(authority.config(free)).await.unwrap_err());
    connection(Hub::connect_lazy(authority.config(free)).unwrap().lookup().check(ask("clear")).await.unwrap_err());
}

#[test]
fn wrong_configurations_name_what_is_wrong() {
    let authority = Authority::new();
    let check = |change: fn(&mut Config), part: &str| {
        let mut config = authority.config(SocketAddr::from(([127, 0, 0, 1], 1)));
        change(&mut config);
        match Hub::connect_lazy(config) {
            Err(Error::Config(problem)) => assert!(problem.contains(part), "{problem:?} lacks {part:?}"),
            other => panic!("{other:?}, expected a fault about {part:?}"),
        }
    };
    check(|config| config.endpoint = "http://localhost:1".to_owned(), "another scheme than https");
    check(|config| config.endpoint = "https://localhost:1/path".to_owned(), "path");
    check(|config| config.endpoint = "not a uri".to_owned(), "is no URI");
    check(|config| config.server_name = Some("not a name".to_owned()), "server_name");
    check(|config| config.cert_path = "absent.pem".into(), "absent.pem");
    check(|config| config.cert_path.clone_from(&config.key_path), "holds no certificate");
    check(|config| config.key_path.clone_from(&config.ca_pem_path), "holds no private key");
    check(|config| config.key_path.set_file_name("hub.key"), "is not the key of");
}
