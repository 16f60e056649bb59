//! What new files do to live connections, and what bad ones don't.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use rustls_pki_types::CertificateRevocationListDer;
use rustls_pki_types::pem::PemObject;
use tonic_health::pb::HealthCheckRequest;
use xinhub_server::serve::{Cut, Limits};
use xinhub_server::tls::{CrlHealth, TlsError, TlsState};

use super::WEEK_S;
use super::hub::{Hub, PINNED, eventually, settings, write_server};
use super::pki::{Ca, Says, now_unix_s};

#[tokio::test(flavor = "multi_thread")]
async fn lists_end_cuts_live_connections_and_pinned_clients_come_back_flagged() {
    let hub = Hub::start_with(Limits::default(), |ca| ca.crl(1, 6, &[])).await;
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    let court_leaf = hub.ca.client(PINNED, 2);
    let court = hub.connect(&court_leaf).await;
    bank.call().await.unwrap();
    court.call().await.unwrap();
    assert!(hub.peers.lock().unwrap().iter().all(|peer| !peer.crl_expired()));
    eventually("both are cut", || hub.gate.stats().cut(Cut::CrlExpired) == 2).await;
    assert!(bank.call().await.is_err() && court.call().await.is_err());
    hub.connect(&court_leaf).await.call().await.unwrap();
    assert!(hub.peers.lock().unwrap().last().unwrap().crl_expired());
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_cuts_the_revoked_clients_connections_and_nobody_elses() {
    let hub = Hub::start().await;
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    let hotel = hub.connect(&hub.ca.client("hotel-demo", 2)).await;
    let mut watching = bank.0.clone().watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    watching.message().await.unwrap().unwrap();
    let running = tokio::spawn({
        let bank = bank.clone();
        async move { bank.call_for(Duration::from_secs(60)).await }
    });
    let running_elsewhere = tokio::spawn({
        let hotel = hotel.clone();
        async move { hotel.call_for(Duration::from_secs(2)).await }
    });
    eventually("the calls run", || hub.peers.lock().unwrap().len() == 3).await;

    hub.write_crl(&hub.ca.crl(2, WEEK_S, &[1]));
    hub.tls.reload().unwrap();
    assert!(watching.message().await.is_err(), "its stream ends");
    assert!(running.await.unwrap().is_err(), "its running call ends");
    eventually("in the hub too", || hub.running.load(SeqCst) <= 1).await;
    assert!(bank.call().await.is_err());
    assert_eq!(hub.gate.stats().cut(Cut::Revoked), 1);
    running_elsewhere.await.unwrap().unwrap();
    hotel.call().await.unwrap();
    assert_eq!((hub.gate.stats().admitted(), hub.gate.stats().active()), (2, 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_cuts_connections_of_a_withdrawn_ca() {
    let hub = Hub::start().await;
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    bank.call().await.unwrap();
    let next = Ca::new("Next CA");
    std::fs::write(hub.dir.path().join("ca.pem"), &next.pem).unwrap();
    hub.write_crl(&next.crl(1, WEEK_S, &[]));
    hub.tls.reload().unwrap();
    eventually("cut", || hub.gate.stats().cut(Cut::NoLongerTrusted) == 1).await;
    assert!(bank.call().await.is_err());
    hub.connect(&next.client("bank-demo", 1)).await.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_reload_keeps_what_was_in_force() {
    let hub = Hub::start_with(Limits::default(), |ca| ca.crl(5, WEEK_S, &[13])).await;
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    let path = |name: &str| hub.dir.path().join(name);
    let restore =
        ["ca.pem", "crl.pem", "server.pem", "server.key"].map(|name| (path(name), std::fs::read(path(name)).unwrap()));
    let check = |what: &str, expected: &str, change: &dyn Fn()| {
        change();
        let error = hub.tls.reload().expect_err(what).to_string();
        assert!(error.contains(expected), "{what}: {error}");
        restore.iter().for_each(|(path, content)| std::fs::write(path, content).unwrap());
    };
    let next = Ca::new("Test CA");
    check("damaged list", "not a DER or PEM", &|| {
        hub.write_crl("-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n")
    });
    check("no list", "crl.pem", &|| std::fs::remove_file(path("crl.pem")).unwrap());
    check("older list", "older than the one in force", &|| hub.write_crl(&hub.ca.crl(4, WEEK_S, &[])));
    check("forged list", "signature is not by the CA", &|| hub.write_crl(&next.crl(6, WEEK_S, &[])));
    check("another CA's list", "has no revocation list", &|| hub.write_crl(&Ca::new("x").crl(6, WEEK_S, &[])));
    let two = hub.ca.crl(6, WEEK_S, &[]) + &hub.ca.crl(7, WEEK_S, &[13]);
    check("two lists of one CA", "second revocation list", &|| hub.write_crl(&two));
    check("no CA", "expected one or more PEM certificates", &|| std::fs::write(path("ca.pem"), "").unwrap());
    let other_key = hub.ca.server().key_pem;
    check("another key", "not the key of the certificate", &|| std::fs::write(path("server.key"), &other_key).unwrap());
    let ended = hub.ca.issue(&Says { until_s: -60, ..Says::client("-", 1) });
    check("ended certificate", "renew it", &|| std::fs::write(path("server.pem"), &ended.chain_pem).unwrap());

    bank.call().await.unwrap();
    assert!(!hub.call_once(hub.client_config(Some(&hub.ca.client("bank-demo", 13)))).await, "still revoked");
    assert!(hub.call_once(hub.client_config(Some(&hub.ca.client("bank-demo", 2)))).await);
    hub.tls.reload().unwrap();
    bank.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn key_that_others_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let hub = Hub::start().await;
    let key = hub.dir.path().join("server.key");
    for (mode, accepted) in
        [(0o600, true), (0o400, true), (0o640, true), (0o644, false), (0o660, false), (0o604, false)]
    {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
        let outcome = TlsState::load(settings(&hub.dir), Arc::new(|_| false));
        assert_eq!(outcome.is_ok(), accepted, "{mode:o}");
        if let Err(error) = outcome {
            assert!(matches!(error, TlsError::KeyPermissions { .. }), "{mode:o}: {error}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_may_be_der_and_in_several_files() {
    let hub = Hub::start().await;
    let other = Ca::new("Other CA");
    let der_path = hub.dir.path().join("other.crl");
    let pem = other.crl(1, WEEK_S, &[]);
    let der = CertificateRevocationListDer::from_pem_slice(pem.as_bytes()).unwrap();
    std::fs::write(&der_path, &der).unwrap();
    std::fs::write(hub.dir.path().join("ca.pem"), hub.ca.pem.clone() + &other.pem).unwrap();
    let mut both = settings(&hub.dir);
    both.crl_paths.push(der_path);
    TlsState::load(both, Arc::new(|_| false)).unwrap();
    let one = TlsState::load(settings(&hub.dir), Arc::new(|_| false)).err().unwrap();
    assert!(matches!(one, TlsError::CrlMissing { position: 2, .. }), "{one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn reload_takes_a_new_server_certificate_without_dropping_anyone() {
    let hub = Hub::start().await;
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    let renewed = hub.ca.server();
    write_server(&hub.dir, &renewed);
    hub.tls.reload().unwrap();
    bank.call().await.unwrap();
    let stream = hub.tls_stream(hub.client_config(Some(&hub.ca.client("hotel-demo", 2)))).await.unwrap();
    assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0], renewed.chain[0]);
    assert!((hub.tls.server_not_after_unix_s() as i64 - now_unix_s() - 86_400).abs() < 60);
}

#[tokio::test(flavor = "multi_thread")]
async fn connection_ends_with_its_certificate() {
    let hub = Hub::start().await;
    let bank = hub.connect(&hub.ca.issue(&Says { until_s: 5, ..Says::client("bank-demo", 1) })).await;
    bank.call().await.unwrap();
    eventually("cut", || hub.gate.stats().cut(Cut::Expired) == 1).await;
    assert!(bank.call().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn health_of_the_list_turns_amber_three_days_before_its_end() {
    let hub = Hub::start().await;
    let (now, end) = (now_unix_s() as u64, (now_unix_s() + WEEK_S) as u64);
    // The list was signed a moment before `now`.
    let check = |at: u64, green: bool, amber: bool| {
        let health = hub.tls.crl_health(at);
        assert_eq!(health == CrlHealth::Green, green, "{health:?}");
        assert_eq!(matches!(health, CrlHealth::Amber { until_unix_s } if end - until_unix_s < 60), amber, "{health:?}");
    };
    check(now, true, false);
    check(end - 73 * 3600, true, false);
    check(end - 72 * 3600 + 60, false, true);
    check(end - 3600, false, true);
    check(end, false, false);
    assert!(matches!(hub.tls.crl_health(end), CrlHealth::Expired { .. }));
}
