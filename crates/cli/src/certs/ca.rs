//! A certificate authority in a directory.
//!
//! What this module promises:
//! - A private key is written once, readable by its owner alone, and never overwritten.
//! - Every certificate is in the register before it exists, so each can be revoked.
//! - Register and revocation list are replaced whole or not at all, under a lock; the list's number only grows.
//!
//! The directory: `ca.pem`, `ca.key`, `crl.pem`, `index.tsv`, and `<name>.pem` with `<name>.key` per certificate. Keys are
//! ECDSA P-256, which every gRPC implementation takes. The CA's own key lies unencrypted beside the rest: fit for trials and
//! tests, not for a hub in earnest.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyIdMethod, KeyPair, KeyUsagePurpose, RevocationReason, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;

use super::error::CertsError;
use super::files::{io_error, lock, replace, write_new};
use super::index::{Entry, Index, Kind};
use super::names::{hex, random_serial, serial_bytes, valid_client_id, valid_dns_name, valid_trust_domain};

/// Clocks of clients and hub differ; a certificate just issued should be good on both.
const BACKDATE: Duration = Duration::from_secs(300);

const SERVER_NAME: &str = "server";
const KEY_MODE: u32 = 0o600;
const PUBLIC_MODE: u32 = 0o644;

/// A CA whose directory has been read.
#[derive(Debug)]
pub struct Authority {
    dir: PathBuf,
    trust_domain: String,
    issuer: Issuer<'static, KeyPair>,
}

/// A certificate just issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// PEM, the certificate alone.
    pub certificate_path: PathBuf,
    /// PEM, PKCS#8, mode 0600.
    pub key_path: PathBuf,
    /// Lower-case hex.
    pub serial: String,
}

/// What to revoke.
#[derive(Clone, Debug)]
pub enum Revoke {
    /// Every certificate of this client that isn't revoked yet.
    Client(String),
    /// The certificate with this serial number, hex.
    Serial(String),
}

impl Authority {
    /// Makes a CA in `dir` (created if missing), valid for `lifetime`, with an empty revocation list valid for `crl_lifetime`.
    ///
    /// # Errors
    /// If `dir` holds a CA already, `trust_domain` isn't one, or a file can't be written.
    pub fn init(
        dir: &Path,
        trust_domain: &str,
        lifetime: Duration,
        crl_lifetime: Duration,
    ) -> Result<Self, CertsError> {
        if !valid_trust_domain(trust_domain) {
            return Err(CertsError::TrustDomain);
        }
        fs::create_dir_all(dir).map_err(io_error(dir))?;
        let _lock = lock(dir)?;
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::OrganizationName, trust_domain);
        params.distinguished_name.push(DnType::CommonName, "XinHub CA");
        // SPIFFE X509-SVID §2: a signing certificate may name its trust domain, without a path.
        params.subject_alt_names = vec![SanType::URI(format!("spiffe://{trust_domain}").try_into()?)];
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.serial_number = Some(SerialNumber::from(random_serial()?.to_vec()));
        set_validity(&mut params, lifetime)?;
        let certificate = params.self_signed(&key)?;
        // The key first: it alone refuses to be overwritten, and so guards the rest.
        write_new(&dir.join("ca.key"), &key.serialize_pem(), KEY_MODE)?;
        write_new(&dir.join("ca.pem"), &certificate.pem(), PUBLIC_MODE)?;
        let issuer = Issuer::new(params, key);
        let authority = Self { dir: dir.to_owned(), trust_domain: trust_domain.to_owned(), issuer };
        authority.sign_crl(Index::default(), crl_lifetime)?;
        Ok(authority)
    }

    /// Reads the CA in `dir`.
    ///
    /// # Errors
    /// If there is none, or its files don't belong together.
    pub fn open(dir: &Path) -> Result<Self, CertsError> {
        let (certificate_path, key_path) = (dir.join("ca.pem"), dir.join("ca.key"));
        if !key_path.exists() {
            return Err(CertsError::NoAuthority { dir: dir.to_owned() });
        }
        let certificate_pem = fs::read_to_string(&certificate_path).map_err(io_error(&certificate_path))?;
        let key_pem = fs::read_to_string(&key_path).map_err(io_error(&key_path))?;
        let key = KeyPair::from_pem(&key_pem).map_err(|_| damaged(&key_path, "not a private key in PEM"))?;
        let trust_domain = trust_domain_of(&certificate_pem, &key)
            .ok_or_else(|| damaged(&certificate_path, "not the certificate of ca.key made by `xinhub certs init`"))?;
        let issuer = Issuer::from_ca_cert_pem(&certificate_pem, key)
            .map_err(|_| damaged(&certificate_path, "not a CA certificate in PEM"))?;
        Ok(Self { dir: dir.to_owned(), trust_domain, issuer })
    }

    /// Issues `server.pem` and `server.key` for a hub that clients call by these names.
    ///
    /// # Errors
    /// If there is no name, one isn't valid, or the key exists.
    pub fn issue_server(&self, dns: &[String], ips: &[IpAddr], lifetime: Duration) -> Result<Issued, CertsError> {
        if dns.is_empty() && ips.is_empty() {
            return Err(CertsError::ServerNames);
        }
        if !dns.iter().all(|name| valid_dns_name(name)) {
            return Err(CertsError::DnsName);
        }
        let mut names = Vec::new();
        for name in dns {
            names.push(SanType::DnsName(name.as_str().try_into()?));
        }
        names.extend(ips.iter().copied().map(SanType::IpAddress));
        self.issue(Kind::Server, SERVER_NAME, names, ExtendedKeyUsagePurpose::ServerAuth, lifetime)
    }

    /// Issues `<id>.pem` and `<id>.key` for the client `id`.
    ///
    /// # Errors
    /// If `id` isn't a client id, or the key exists.
    pub fn issue_client(&self, id: &str, lifetime: Duration) -> Result<Issued, CertsError> {
        if !valid_client_id(id) {
            return Err(CertsError::ClientId);
        }
        let name = format!("spiffe://{}/client/{id}", self.trust_domain);
        let names = vec![SanType::URI(name.try_into()?)];
        self.issue(Kind::Client, id, names, ExtendedKeyUsagePurpose::ClientAuth, lifetime)
    }

    /// Revokes, and signs a new `crl.pem` valid for `crl_lifetime`. Returns the serial numbers revoked.
    ///
    /// # Errors
    /// If nothing is left to revoke, or a file can't be written.
    pub fn revoke(&self, whose: &Revoke, crl_lifetime: Duration) -> Result<Vec<String>, CertsError> {
        let _lock = lock(&self.dir)?;
        let mut index = self.index()?;
        let wanted_serial = match whose {
            Revoke::Client(_) => None,
            Revoke::Serial(hex) => Some(serial_bytes(hex).ok_or(CertsError::Serial)?),
        };
        let now = Timestamp::now();
        let mut revoked = Vec::new();
        for entry in index.entries.iter_mut().filter(|entry| entry.revoked_at.is_none()) {
            let hit = match whose {
                Revoke::Client(id) => entry.kind == Kind::Client && entry.name == *id,
                Revoke::Serial(_) => serial_bytes(&entry.serial) == wanted_serial,
            };
            if hit {
                entry.revoked_at = Some(now);
                revoked.push(entry.serial.clone());
            }
        }
        if revoked.is_empty() {
            return Err(CertsError::NothingToRevoke);
        }
        self.sign_crl(index, crl_lifetime)?;
        Ok(revoked)
    }

    /// Signs a new `crl.pem` of the same content, valid for `lifetime`.
    ///
    /// # Errors
    /// If a file can't be read or written.
    pub fn renew_crl(&self, lifetime: Duration) -> Result<(), CertsError> {
        let _lock = lock(&self.dir)?;
        self.sign_crl(self.index()?, lifetime)
    }

    /// `ca.pem`: what the hub and its clients trust.
    pub fn certificate_path(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// `ca.key`.
    pub fn key_path(&self) -> PathBuf {
        self.dir.join("ca.key")
    }

    /// `crl.pem`: the revocation list for the hub.
    pub fn crl_path(&self) -> PathBuf {
        self.dir.join("crl.pem")
    }

    #[cfg(test)]
    pub(super) fn index_entries(&self) -> usize {
        self.index().map_or(0, |index| index.entries.len())
    }

    fn index_path(&self) -> PathBuf {
        self.dir.join("index.tsv")
    }

    fn index(&self) -> Result<Index, CertsError> {
        let path = self.index_path();
        let text = fs::read_to_string(&path).map_err(io_error(&path))?;
        Index::parse(&text).map_err(|line| damaged(&path, &format!("line {line} is not as it was written")))
    }

    fn issue(
        &self,
        kind: Kind,
        name: &str,
        names: Vec<SanType>,
        usage: ExtendedKeyUsagePurpose,
        lifetime: Duration,
    ) -> Result<Issued, CertsError> {
        let _lock = lock(&self.dir)?;
        let certificate_path = self.dir.join(format!("{name}.pem"));
        let key_path = self.dir.join(format!("{name}.key"));
        for path in [&certificate_path, &key_path] {
            if path.exists() {
                return Err(CertsError::Exists { path: path.clone() });
            }
        }
        let serial = random_serial()?;
        let serial_hex = hex(&serial);
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::default();
        // For people who look at it; the hub reads the SAN alone.
        params.distinguished_name.push(DnType::CommonName, name);
        params.subject_alt_names = names;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.use_authority_key_identifier_extension = true;
        params.serial_number = Some(SerialNumber::from(serial.to_vec()));
        let not_after = set_validity(&mut params, lifetime)?;
        let certificate = params.signed_by(&key, &self.issuer)?;

        let mut index = self.index()?;
        index.entries.push(Entry {
            serial: serial_hex.clone(),
            kind,
            name: name.to_owned(),
            not_after,
            revoked_at: None,
        });
        // A crash from here on leaves at worst a register entry without a certificate.
        replace(&self.index_path(), &index.to_text())?;
        write_new(&key_path, &key.serialize_pem(), KEY_MODE)?;
        write_new(&certificate_path, &certificate.pem(), PUBLIC_MODE)?;
        Ok(Issued { certificate_path, key_path, serial: serial_hex })
    }

    /// Writes register and list for `index` as it stands, under the next number. The caller holds the lock.
    fn sign_crl(&self, mut index: Index, lifetime: Duration) -> Result<(), CertsError> {
        index.crl_number += 1;
        let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
        let now = unix_s(Timestamp::now())?;
        let mut revoked_certs = Vec::new();
        for entry in &index.entries {
            let (Some(revoked_at), Some(serial)) = (entry.revoked_at, serial_bytes(&entry.serial)) else { continue };
            revoked_certs.push(RevokedCertParams {
                serial_number: SerialNumber::from(serial),
                revocation_time: at(unix_s(revoked_at)?),
                reason_code: Some(RevocationReason::Unspecified),
                invalidity_date: None,
            });
        }
        let list = CertificateRevocationListParams {
            this_update: at(now),
            next_update: at(end(now, lifetime)?),
            crl_number: SerialNumber::from(index.crl_number),
            issuing_distribution_point: None,
            revoked_certs,
            key_identifier_method: KeyIdMethod::Sha256,
        }
        .signed_by(&self.issuer)?;
        // The register first: a crash between the two skips a number, which is harmless; the other way round would use
        // one number for two lists.
        replace(&self.index_path(), &index.to_text())?;
        replace(&self.crl_path(), &list.pem()?)
    }
}

fn set_validity(params: &mut CertificateParams, lifetime: Duration) -> Result<Timestamp, CertsError> {
    let now = unix_s(Timestamp::now())?;
    let not_after = end(now, lifetime)?;
    let at = |seconds: u64| date_time_ymd(1970, 1, 1) + Duration::from_secs(seconds);
    params.not_before = at(now.saturating_sub(BACKDATE.as_secs()));
    params.not_after = at(not_after);
    let not_after = i64::try_from(not_after).map_err(|_| CertsError::Validity)?;
    Timestamp::from_second(not_after).map_err(|_| CertsError::Validity)
}

/// Within the years that `GeneralizedTime` and the date library hold, 9999 and less.
fn end(now_unix_s: u64, lifetime: Duration) -> Result<u64, CertsError> {
    const YEAR_9000_UNIX_S: u64 = 221_845_392_000;
    now_unix_s.checked_add(lifetime.as_secs()).filter(|end| *end < YEAR_9000_UNIX_S).ok_or(CertsError::Validity)
}

fn unix_s(at: Timestamp) -> Result<u64, CertsError> {
    u64::try_from(at.as_second()).map_err(|_| CertsError::Validity)
}

/// The trust domain in the CA's URI SAN, if the certificate is of `key`.
fn trust_domain_of(certificate_pem: &str, key: &KeyPair) -> Option<String> {
    let (_, pem) = parse_x509_pem(certificate_pem.as_bytes()).ok()?;
    let certificate = pem.parse_x509().ok()?;
    if certificate.public_key().subject_public_key.data.as_ref() != key.public_key_raw() {
        return None;
    }
    let names = certificate.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("spiffe://").map(str::to_owned),
        _ => None,
    })
}

fn damaged(path: &Path, fault: &str) -> CertsError {
    CertsError::Damaged { path: path.to_owned(), fault: fault.to_owned() }
}
