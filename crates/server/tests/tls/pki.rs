//! A CA for tests, which also issues what no honest CA would.

use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber, date_time_ymd,
};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, UnixTime};

pub(crate) const TRUST_DOMAIN: &str = "test.xinhub.invalid";
const DAY_S: i64 = 86_400;

pub(crate) fn now_unix_s() -> i64 {
    UnixTime::now().as_secs() as i64
}

pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) certificate: CertificateDer<'static>,
    pub(crate) pem: String,
}

#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) chain: Vec<CertificateDer<'static>>,
    pub(crate) key_der: Vec<u8>,
    pub(crate) key_pem: String,
    pub(crate) chain_pem: String,
}

/// What a certificate says; times in seconds from now.
#[derive(Clone)]
pub(crate) struct Says {
    pub(crate) common_name: &'static str,
    pub(crate) names: Vec<SanType>,
    pub(crate) usage: Vec<ExtendedKeyUsagePurpose>,
    pub(crate) from_s: i64,
    pub(crate) until_s: i64,
    pub(crate) serial: u64,
}

pub(crate) fn uri(text: &str) -> SanType {
    SanType::URI(text.try_into().unwrap())
}

pub(crate) fn client_uri(id: &str) -> SanType {
    uri(&format!("spiffe://{TRUST_DOMAIN}/client/{id}"))
}

impl Says {
    pub(crate) fn client(id: &str, serial: u64) -> Self {
        Self {
            common_name: "ignored",
            names: vec![client_uri(id)],
            usage: vec![ExtendedKeyUsagePurpose::ClientAuth],
            from_s: -DAY_S,
            until_s: DAY_S,
            serial,
        }
    }

    fn params(&self) -> CertificateParams {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, self.common_name);
        params.subject_alt_names = self.names.clone();
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = self.usage.clone();
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(self.serial));
        let at = |offset_s: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs((now_unix_s() + offset_s) as u64);
        params.not_before = at(self.from_s);
        params.not_after = at(self.until_s);
        params
    }

    pub(crate) fn self_signed(&self) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = self.params().self_signed(&key).unwrap();
        leaf(&certificate, &key)
    }
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = ca_params(name, 1);
        let certificate = params.self_signed(&key).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    pub(crate) fn intermediate(&self, name: &str, serial: u64) -> Self {
        let key = KeyPair::generate().unwrap();
        let params = ca_params(name, serial);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (der, pem) = (certificate.der().clone(), certificate.pem());
        Self { issuer: Issuer::new(params, key), certificate: der, pem }
    }

    pub(crate) fn issue(&self, says: &Says) -> Leaf {
        let key = KeyPair::generate().unwrap();
        let certificate = says.params().signed_by(&key, &self.issuer).unwrap();
        leaf(&certificate, &key)
    }

    pub(crate) fn client(&self, id: &str, serial: u64) -> Leaf {
        self.issue(&Says::client(id, serial))
    }

    pub(crate) fn server(&self) -> Leaf {
        let names = vec![SanType::DnsName("localhost".try_into().unwrap())];
        self.issue(&Says { names, usage: vec![ExtendedKeyUsagePurpose::ServerAuth], ..Says::client("-", 9_000) })
    }

    /// A list with `nextUpdate` in `ends_in_s` seconds (negative: past).
    pub(crate) fn crl(&self, number: u64, ends_in_s: i64, revoked: &[u64]) -> String {
        let at = |unix_s: i64| date_time_ymd(1970, 1, 1) + Duration::from_secs(unix_s as u64);
        let (now, revoked_at) = (now_unix_s(), at(now_unix_s() - 3600));
        let params = CertificateRevocationListParams {
            this_update: at(now + ends_in_s.min(0) - 3600),
            next_update: at(now + ends_in_s),
            crl_number: SerialNumber::from(number),
            issuing_distribution_point: None,
            revoked_certs: revoked
                .iter()
                .map(|serial| RevokedCertParams {
                    serial_number: SerialNumber::from(*serial),
                    revocation_time: revoked_at,
                    reason_code: None,
                    invalidity_date: None,
                })
                .collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

impl Leaf {
    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key_der.clone()).into()
    }
}

fn ca_params(name: &str, serial: u64) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.serial_number = Some(SerialNumber::from(serial));
    params
}

fn leaf(certificate: &rcgen::Certificate, key: &KeyPair) -> Leaf {
    Leaf {
        chain: vec![certificate.der().clone()],
        key_der: key.serialize_der(),
        key_pem: key.serialize_pem(),
        chain_pem: certificate.pem(),
    }
}
