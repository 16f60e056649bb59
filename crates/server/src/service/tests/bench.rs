//! A hub on simulated disks with a clock that stands still, and clients that call it without sockets.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use crate::service::Services;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SerialNumber, date_time_ymd,
};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tower::Service;
use xinhub_api::v1;
use xinhub_api::v1::admin_service_client::AdminServiceClient;
use xinhub_api::v1::audit_service_client::AuditServiceClient;
use xinhub_api::v1::lookup_service_client::LookupServiceClient;
use xinhub_api::v1::registry_service_client::RegistryServiceClient;
use xinhub_domain::identity::synthetic;
use xinhub_domain::measure::Catalogue;
use xinhub_domain::policy::Policy;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_ledger::Ledger;
use xinhub_ledger::clock::Clock;
use xinhub_ledger::clock::manual::ManualClock;
use xinhub_ledger::keys::{Keyring, Purpose};
use xinhub_ledger::seglog::{LogConfig, LogPurpose, SegmentedLog};
use xinhub_ledger::storage::sim::SimStorage;
use xinhub_translog::note::Signer;

use super::super::{Alarms, Door, Hub, services};
use crate::audit::{self, Audit, AuditSettings, Inquiries};
use crate::authorise::Authority;
use crate::config::CallLimits;
use crate::import::{ImportSettings, Importer};
use crate::metrics::Metrics;
use crate::quota::Quotas;
use crate::serve::Peer;
use crate::sync::Replication;
use crate::tls::{ClientCertificate, TlsSettings, TlsState};

/// 2026-03-01T12:00:00+08:00.
const NOW: Timestamp = Timestamp(1_772_337_600_000);

pub(super) const POLICY: &str = r#"
format = 1
release = "one"
go_live = 2099-01-01
[[court]]
id = "court-1"
name_zh = "测试法院"
signers = ["b"]
[[court]]
id = "court-2"
name_zh = "邻近法院"
[[client]]
id = "court"
class = "court"
court = "court-1"
legal_basis = "法释〔2017〕7号"
expires = 2027-12-31
rate_per_second = 1000
daily_quota = 1_000_000
crl_expiry_exempt = true
[[client]]
id = "neighbour"
class = "court"
court = "court-2"
legal_basis = "法释〔2017〕7号"
expires = 2027-12-31
rate_per_second = 1000
daily_quota = 1_000_000
[[client]]
id = "bank"
class = "bank"
unit = "central-bank"
legal_basis = "实施方案"
impact_assessment = "PIA-1"
expires = 2027-06-30
reach = ["online", "detail"]
measures = [{ code = "credit.lending" }]
fields = ["relation", "effect", "officers", "detail"]
rate_per_second = 1000
daily_quota = 1_000_000
[[client]]
id = "old"
class = "bank"
unit = "central-bank"
legal_basis = "实施方案"
impact_assessment = "PIA-1"
expires = 2026-02-28
reach = ["online"]
measures = [{ code = "credit.lending" }]
fields = ["relation", "effect"]
rate_per_second = 1000
daily_quota = 1_000_000
[[client]]
id = "hotel"
class = "hotel"
unit = "culture-tourism"
legal_basis = "实施方案"
impact_assessment = "PIA-2"
expires = 2027-06-30
reach = ["online"]
measures = [{ code = "consumption.hotel", items = ["star_rated"] }]
rate_per_second = 1000
daily_quota = 1_000_000
[[client]]
id = "legal-aid"
class = "unit"
unit = "central-bank"
legal_basis = "个人信息保护法 art. 45"
impact_assessment = "PIA-3"
expires = 2027-12-31
reach = ["online"]
measures = [{ code = "credit.lending" }]
acts_for_subjects = true
rate_per_second = 1000
daily_quota = 1_000_000
[[client]]
id = "unit"
class = "unit"
unit = "central-bank"
legal_basis = "实施方案"
impact_assessment = "PIA-4"
reach = ["online"]
measures = [{ code = "credit.lending" }]
expires = 2027-12-31
rate_per_second = 1000
daily_quota = 1_000_000
[[client]]
id = "ops"
class = "operator"
legal_basis = "operation"
expires = 2027-12-31
rate_per_second = 1000
daily_quota = 1_000_000
"#;

pub(super) fn policy(text: &str) -> Policy {
    Policy::parse(text, Catalogue::shipped()).map_err(|faults| faults.to_string()).unwrap()
}

/// A hub, and what it stands on.
pub(super) struct Bench {
    pub(super) hub: Arc<Hub>,
    pub(super) clock: Arc<ManualClock>,
    /// What the audit log is written to.
    pub(super) audit_disk: SimStorage,
    door: Door<Services>,
    dir: tempfile::TempDir,
}

impl Bench {
    pub(super) async fn new() -> Bench {
        Bench::with(POLICY).await
    }

    pub(super) async fn with(text: &str) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(NOW));
        let keys = Arc::new(Keyring::ephemeral());
        let settings = xinhub_ledger::Settings::new(dir.path(), dir.path());
        let disk = SimStorage::new(1);
        Ledger::create_on(&*disk.storage(), &keys, &settings).unwrap();
        let ledger_clock: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
        let ledger = Ledger::open_on(disk.storage(), Arc::clone(&keys), settings, Arc::clone(&ledger_clock)).unwrap();
        let limits = CallLimits::small();
        let parent = keys.current(Purpose::Audience).clone();
        let replicas = dir.path().join("replicas");
        let sync = Replication::open(replicas, parent, &limits, Arc::clone(&ledger_clock)).unwrap();
        let signer = Signer::from_seed("hub.test", keys.current(Purpose::Log).bytes()).unwrap();
        let audit_disk = SimStorage::new(2);
        let audit = open_audit(&audit_disk, keys, Arc::clone(&ledger_clock));
        let hub = Arc::new(Hub {
            ledger,
            authority: Arc::new(Authority::new(policy(text))),
            inquiries: Inquiries::open(&dir.path().join("inquiries"), audit.reader()).unwrap(),
            audit,
            signer,
            importer: Importer::open(ImportSettings::new(dir.path().join("staging"))).unwrap(),
            sync: Arc::new(sync),
            quotas: Quotas::default(),
            metrics: Metrics::new(),
            clock: ledger_clock,
            tls: tls(dir.path()),
            limits,
            alarms: Alarms::default(),
            started: NOW,
            draining: CancellationToken::new(),
        });
        let (door, _health) = services(&hub).await.unwrap();
        Bench { hub, clock, audit_disk, door, dir }
    }

    /// Where files wait.
    pub(super) fn staging(&self) -> std::path::PathBuf {
        self.dir.path().join("staging")
    }

    pub(super) fn peer(&self, client: &str, crl_expired: bool) -> Peer {
        let certificate = ClientCertificate {
            client_id: Arc::from(client),
            serial: "01".into(),
            fingerprint: [0; 32],
            not_after_unix_s: u64::MAX,
        };
        Peer::new(certificate, 1, crl_expired)
    }

    pub(super) fn caller(&self, client: &str) -> Caller {
        Caller { door: self.door.clone(), peer: self.peer(client, false) }
    }

    pub(super) fn lookup(&self, client: &str) -> LookupServiceClient<Caller> {
        LookupServiceClient::new(self.caller(client)).max_encoding_message_size(usize::MAX)
    }

    pub(super) fn account(&self, client: &str) -> AuditServiceClient<Caller> {
        AuditServiceClient::new(self.caller(client))
    }

    pub(super) fn registry(&self, client: &str) -> RegistryServiceClient<Caller> {
        self.registry_of(&self.peer(client, false))
    }

    pub(super) fn registry_of(&self, peer: &Peer) -> RegistryServiceClient<Caller> {
        RegistryServiceClient::new(Caller { door: self.door.clone(), peer: peer.clone() })
    }

    pub(super) fn admin(&self, client: &str) -> AdminServiceClient<Caller> {
        AdminServiceClient::new(self.caller(client))
    }

    pub(super) fn today(&self) -> Day {
        self.clock.wall().day()
    }

    /// Lists subject `nth` in force, so that detail is there too; returns the listing's number.
    pub(super) async fn list(&self, nth: u16) -> u64 {
        let listing = self.list_only(nth).await;
        self.detail_is_there(listing).await;
        listing
    }

    pub(super) async fn list_only(&self, nth: u16) -> u64 {
        let mut content = content(nth);
        content.decision.as_mut().unwrap().served_on = "2026-02-01".into();
        let request = v1::PublishRequest { mutation: head("", "a"), content: Some(content), ..Default::default() };
        // Paid for at once, so that tests of quotas begin with a full bucket.
        let outcome = self.registry("court").publish(request).await.unwrap().into_inner().outcome.unwrap();
        assert_eq!(outcome.state(), v1::ListingState::Listed);
        self.clock.advance_ms(1_000);
        outcome.listing
    }

    pub(super) async fn detail_is_there(&self, listing: u64) {
        for _ in 0..6_000 {
            if self.hub.ledger.detail(listing).is_ok_and(|detail| detail.is_some()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the detail store doesn't catch up");
    }

    /// Every call recorded so far, what waits included.
    pub(super) fn calls(&self) -> Vec<audit::Call> {
        for _ in 0..6_000 {
            if self.hub.audit.status().claimed == 0 {
                break;
            }
            self.clock.advance_ms(60);
            std::thread::sleep(Duration::from_millis(10));
        }
        assert_eq!(self.hub.audit.status().claimed, 0, "records are still waiting");
        let entries = self.hub.audit.reader().entries().unwrap();
        let call = |entry| match entry {
            audit::Entry::Call(call) => Some(*call),
            audit::Entry::Coarse(_) | audit::Entry::Gap(_) | audit::Entry::Reported(_) => None,
        };
        entries.filter_map(|entry| call(entry.unwrap().1)).collect()
    }
}

fn open_audit(disk: &SimStorage, keys: Arc<Keyring>, clock: Arc<dyn Clock>) -> Audit {
    let settings = AuditSettings { queue_records: 64, ..AuditSettings::new("audit") };
    let config = LogConfig { segment_bytes: settings.segment_bytes, ..LogConfig::new(LogPurpose::Audit) };
    SegmentedLog::create(disk.storage(), config, [9; 16]).unwrap();
    Audit::open_on(disk.storage(), &settings, keys, clock).unwrap()
}

/// TLS files that load; no test here opens a socket.
fn tls(dir: &std::path::Path) -> Arc<TlsState> {
    let mut ca = CertificateParams::default();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let key = KeyPair::generate().unwrap();
    let ca_certificate = ca.self_signed(&key).unwrap();
    let issuer = Issuer::new(ca, key);
    let mut leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let leaf_key = KeyPair::generate().unwrap();
    let leaf_certificate = leaf.signed_by(&leaf_key, &issuer).unwrap();
    let crl = CertificateRevocationListParams {
        this_update: date_time_ymd(2020, 1, 1),
        next_update: date_time_ymd(2100, 1, 1),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let crl = crl.signed_by(&issuer).unwrap();
    let write = |name: &str, text: String| {
        let path = dir.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let key_path = write("server.key", leaf_key.serialize_pem());
    std::fs::set_permissions(&key_path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let settings = TlsSettings {
        cert_chain_path: write("server.pem", leaf_certificate.pem()),
        key_path,
        client_ca_path: write("ca.pem", ca_certificate.pem()),
        crl_paths: vec![write("crl.pem", crl.pem().unwrap())],
        trust_domain: "test.xinhub.invalid".to_owned(),
    };
    TlsState::load(settings, Arc::new(|_: &str| false)).unwrap()
}

/// A client's connection, as the gate would hand its requests on.
#[derive(Clone)]
pub(super) struct Caller {
    door: Door<Services>,
    peer: Peer,
}

impl Service<http::Request<Body>> for Caller {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = <Door<Services> as Service<http::Request<Body>>>::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Service::<http::Request<Body>>::poll_ready(&mut self.door, cx)
    }

    fn call(&mut self, mut request: http::Request<Body>) -> Self::Future {
        request.extensions_mut().insert(self.peer.clone());
        self.door.call(request)
    }
}

/// A synthetic adult.
pub(super) fn subject(nth: u16) -> v1::Identity {
    v1::Identity {
        kind: v1::IdentityKind::ResidentId as i32,
        number: synthetic::resident_id("110101", jiff::civil::date(1980, 1, 1), nth),
        issuing_state: String::new(),
    }
}

pub(super) fn inquiry(nth: u16) -> v1::Inquiry {
    v1::Inquiry { identity: Some(subject(nth)), ..Default::default() }
}

pub(super) fn content(nth: u16) -> v1::ListingContent {
    v1::ListingContent {
        identities: vec![subject(nth)],
        name: "测试甲".into(),
        decision: Some(v1::Decision {
            number: format!("(2026)粤0882执{nth}号"),
            date: "2026-01-05".into(),
            reasons: "有履行能力而拒不履行".into(),
            signer: "p-1".into(),
            ..v1::Decision::default()
        }),
        ground: 1,
        case_number: format!("(2025)粤0882执{nth}号"),
        basis_document: format!("(2025)粤0882民初{nth}号"),
        basis_issuer: "测试法院".into(),
        notice_served_on: "2025-12-20".into(),
        ..v1::ListingContent::default()
    }
}

/// The head of a mutation under a new request id.
pub(super) fn head(etag: &str, actor: &str) -> Option<v1::Mutation> {
    let random: [u8; 10] = xinhub_ledger::crypto::random();
    let ms = u64::try_from(NOW.0).unwrap();
    Some(v1::Mutation {
        request_id: uuid::Builder::from_unix_timestamp_millis(ms, &random).into_uuid().to_string(),
        etag: etag.to_owned(),
        actor: Some(v1::Actor { staff_id: actor.to_owned(), post: "judge".to_owned() }),
        approver: None,
    })
}
