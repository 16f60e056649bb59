#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use clap::Parser;
use tempfile::TempDir;
use x509_parser::prelude::{FromDer, ParsedExtension, X509Certificate};
use x509_parser::revocation_list::CertificateRevocationList;

use super::index::{Entry, Index, Kind};
use super::*;

const DAY: Duration = Duration::from_secs(86_400);

fn authority(dir: &Path) -> Authority {
    Authority::init(dir, "demo.xinhub.invalid", 10 * DAY, DAY).unwrap()
}

fn der(path: &Path) -> Vec<u8> {
    x509_parser::pem::parse_x509_pem(&std::fs::read(path).unwrap()).unwrap().1.contents
}

/// Number, serials revoked, seconds from thisUpdate to nextUpdate.
fn crl(ca: &Authority) -> (u64, Vec<String>, i64) {
    let der = der(&ca.crl_path());
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let number = list.crl_number().unwrap().to_string().parse().unwrap();
    let serials = list.iter_revoked_certificates().map(|entry| entry.raw_serial_as_string().replace(':', "")).collect();
    (number, serials, list.next_update().unwrap().timestamp() - list.last_update().timestamp())
}

#[test]
fn client_certificate_names_one_client_and_is_for_clients() {
    let dir = TempDir::new().unwrap();
    let issued = authority(dir.path()).issue_client("court-leizhou", DAY).unwrap();
    let der = der(&issued.certificate_path);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(format!("{names:?}"), r#"[URI("spiffe://demo.xinhub.invalid/client/court-leizhou")]"#);
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(!certificate.is_ca());
    assert_eq!(certificate.raw_serial_as_string().replace(':', ""), issued.serial);
    assert!(
        certificate
            .extensions()
            .iter()
            .any(|extension| { matches!(extension.parsed_extension(), ParsedExtension::AuthorityKeyIdentifier(_)) })
    );
}

#[test]
fn server_certificate_carries_its_names_and_is_for_servers() {
    let dir = TempDir::new().unwrap();
    let ca = authority(dir.path());
    let issued = ca.issue_server(&["localhost".into()], &["127.0.0.1".parse().unwrap()], DAY).unwrap();
    let der = der(&issued.certificate_path);
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    let names = &certificate.subject_alternative_name().unwrap().unwrap().value.general_names;
    assert_eq!(format!("{names:?}"), r#"[DNSName("localhost"), IPAddress([127, 0, 0, 1])]"#);
    let usage = certificate.extended_key_usage().unwrap().unwrap().value;
    assert!(usage.server_auth && !usage.client_auth);
}

#[test]
fn keys_are_for_their_owner_alone_and_never_overwritten() {
    let dir = TempDir::new().unwrap();
    let ca = authority(dir.path());
    let issued = ca.issue_client("bank-demo", DAY).unwrap();
    for key in [&issued.key_path, &ca.key_path()] {
        assert_eq!(std::fs::metadata(key).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read(&issued.key_path).unwrap();
    assert!(matches!(ca.issue_client("bank-demo", DAY), Err(CertsError::Exists { .. })));
    assert!(matches!(ca.issue_client("ca", DAY), Err(CertsError::Exists { .. })));
    let again = Authority::init(dir.path(), "demo.xinhub.invalid", DAY, DAY);
    assert!(matches!(again, Err(CertsError::Exists { .. })));
    assert_eq!(std::fs::read(&issued.key_path).unwrap(), before);
    assert_eq!(ca.index_entries(), 1, "a refused certificate is not in the register");
}

#[test]
fn revoking_lists_the_serials_under_a_growing_number() {
    let dir = TempDir::new().unwrap();
    let ca = authority(dir.path());
    assert_eq!(crl(&ca), (1, vec![], DAY.as_secs() as i64));
    let bank = ca.issue_client("bank-demo", DAY).unwrap();
    let hotel = ca.issue_client("hotel-demo", DAY).unwrap();

    // What another process does goes by the files alone.
    let ca = Authority::open(dir.path()).unwrap();
    assert_eq!(ca.revoke(&Revoke::Client("bank-demo".into()), DAY).unwrap(), vec![bank.serial.clone()]);
    assert_eq!(crl(&ca), (2, vec![bank.serial.clone()], DAY.as_secs() as i64));
    let shouted = hotel.serial.to_uppercase();
    assert_eq!(ca.revoke(&Revoke::Serial(shouted), 2 * DAY).unwrap(), vec![hotel.serial.clone()]);
    ca.renew_crl(3 * DAY).unwrap();
    assert_eq!(crl(&ca), (4, vec![bank.serial, hotel.serial], 3 * DAY.as_secs() as i64));

    for nothing in [Revoke::Client("bank-demo".into()), Revoke::Client("nobody".into()), Revoke::Serial("00".into())] {
        assert!(matches!(ca.revoke(&nothing, DAY), Err(CertsError::NothingToRevoke)));
    }
    assert!(matches!(ca.revoke(&Revoke::Serial("xyz".into()), DAY), Err(CertsError::Serial)));
    assert_eq!(crl(&ca).0, 4, "a refused command signs nothing");
}

#[test]
fn names_are_checked() {
    let dir = TempDir::new().unwrap();
    let ca = authority(dir.path());
    for id in ["", "a/b", "a b", "..", ".hidden", "é", &"x".repeat(65)] {
        assert!(matches!(ca.issue_client(id, DAY), Err(CertsError::ClientId)), "{id:?}");
    }
    for name in ["", "a..b", "-a", "a b", "*.example.org"] {
        assert!(matches!(ca.issue_server(&[name.into()], &[], DAY), Err(CertsError::DnsName)), "{name:?}");
    }
    assert!(matches!(ca.issue_server(&[], &[], DAY), Err(CertsError::ServerNames)));
    for domain in ["", "Demo", "spiffe://demo", "demo/x"] {
        let other = Authority::init(&dir.path().join("other"), domain, DAY, DAY);
        assert!(matches!(other, Err(CertsError::TrustDomain)), "{domain:?}");
    }
}

#[test]
fn damage_is_named() {
    let dir = TempDir::new().unwrap();
    assert!(matches!(Authority::open(dir.path()), Err(CertsError::NoAuthority { .. })));
    let ca = authority(dir.path());
    let index = dir.path().join("index.tsv");
    std::fs::write(&index, std::fs::read_to_string(&index).unwrap() + "garbage\n").unwrap();
    let error = ca.issue_client("bank-demo", DAY).unwrap_err().to_string();
    assert!(error.contains("index.tsv: line 3"), "{error}");
    let other = TempDir::new().unwrap();
    std::fs::copy(authority(other.path()).certificate_path(), ca.certificate_path()).unwrap();
    assert!(matches!(Authority::open(dir.path()), Err(CertsError::Damaged { .. })));
}

#[test]
fn register_reads_what_it_writes() {
    let entry = |serial: &str, kind, revoked_at: Option<&str>| Entry {
        serial: serial.into(),
        kind,
        name: "x".into(),
        not_after: "2030-01-01T00:00:00Z".parse().unwrap(),
        revoked_at: revoked_at.map(|at| at.parse().unwrap()),
    };
    let index = Index {
        crl_number: 7,
        entries: vec![entry("40ff", Kind::Client, Some("2029-01-01T00:00:00.5Z")), entry("41", Kind::Server, None)],
    };
    assert_eq!(Index::parse(&index.to_text()), Ok(index));
}

#[test]
fn arguments_exclude_each_other() {
    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        certs: CertsArgs,
    }
    let check = |line: &str, accepted: bool| {
        let outcome = Cli::try_parse_from(line.split(' ')).map(|cli| cli.certs);
        assert_eq!(outcome.is_ok(), accepted, "{line}");
    };
    check("certs init --dir out --trust-domain demo.xinhub.invalid", true);
    check("certs init --dir out", false);
    check("certs issue --dir out --server --dns localhost --ip 127.0.0.1 --ip ::1 --days 3", true);
    check("certs issue --dir out --client bank-demo", true);
    check("certs issue --dir out --client bank-demo --server --dns localhost", false);
    check("certs issue --dir out --client bank-demo --dns localhost", false);
    check("certs issue --dir out", false);
    check("certs issue --dir out --client bank-demo --days 0", false);
    check("certs revoke --dir out --client bank-demo --crl-days 7", true);
    check("certs revoke --dir out --serial 40ff --client bank-demo", false);
    check("certs crl --dir out", true);
}
