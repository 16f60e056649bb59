//! Who gets in, who doesn't, and by what cryptography.

use rcgen::ExtendedKeyUsagePurpose::{Any, ServerAuth};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{HandshakeKind, NamedGroup};
use tokio::io::AsyncReadExt;
use xinhub_server::serve::{DrainReport, Limits};
use xinhub_server::tls::Refusal;

use super::WEEK_S;
use super::hub::{Hub, PINNED, eventually};
use super::pki::{Ca, Leaf, Says, TRUST_DOMAIN, client_uri, now_unix_s, uri};

#[tokio::test(flavor = "multi_thread")]
async fn valid_certificate_is_served_and_named() {
    let hub = Hub::start().await;
    let leaf = hub.ca.client("bank-demo", 0x1f);
    let client = hub.connect(&leaf).await;
    client.call().await.unwrap();
    client.call().await.unwrap();
    let peers = hub.peers.lock().unwrap().clone();
    assert_eq!(peers.len(), 2);
    let peer = &peers[0];
    assert_eq!(&**peer.client_id(), "bank-demo");
    assert_eq!(peer.serial(), "1f");
    assert_eq!(
        peer.fingerprint()[..],
        *::aws_lc_rs::digest::digest(&::aws_lc_rs::digest::SHA256, &leaf.chain[0]).as_ref()
    );
    assert!((peer.not_after_unix_s() as i64 - now_unix_s() - 86_400).abs() < 60);
    assert!(!peer.crl_expired());
    assert_eq!(peer.connection_id(), peers[1].connection_id());
    assert_eq!((hub.gate.stats().admitted(), hub.gate.stats().active()), (1, 1));
    drop(client);
    eventually("the connection ends", || hub.gate.stats().active() == 0).await;
    assert_eq!(hub.stop().await, DrainReport { open: 0, cut: 0 });
}

#[tokio::test(flavor = "multi_thread")]
async fn unacceptable_certificates_are_refused() {
    let hub = Hub::start_with(Limits::default(), |ca| ca.crl(1, WEEK_S, &[13])).await;
    let ca = &hub.ca;
    let good = Says::client("bank-demo", 7);
    let td = TRUST_DOMAIN;
    let cases: Vec<(&str, Option<Leaf>, Refusal)> = vec![
        ("none", None, Refusal::NoCertificate),
        ("self-signed", Some(good.self_signed()), Refusal::UnknownIssuer),
        ("another CA", Some(Ca::new("Other CA").issue(&good)), Refusal::UnknownIssuer),
        ("another CA of the same name", Some(Ca::new("Test CA").issue(&good)), Refusal::UnknownIssuer),
        ("expired", Some(ca.issue(&Says { until_s: -60, ..good.clone() })), Refusal::Expired),
        ("not yet valid", Some(ca.issue(&Says { from_s: 600, ..good.clone() })), Refusal::NotYetValid),
        ("revoked", Some(ca.issue(&Says { serial: 13, ..good.clone() })), Refusal::Revoked),
        ("server usage only", Some(ca.issue(&Says { usage: vec![ServerAuth], ..good.clone() })), Refusal::WrongUsage),
        ("no usage said", Some(ca.issue(&Says { usage: vec![], ..good.clone() })), Refusal::WrongUsage),
        ("any usage", Some(ca.issue(&Says { usage: vec![Any], ..good.clone() })), Refusal::WrongUsage),
        (
            "common name without SAN",
            Some(ca.issue(&Says { common_name: "bank-demo", names: vec![], ..good.clone() })),
            Refusal::NoName,
        ),
        (
            "two clients",
            Some(ca.issue(&Says { names: vec![client_uri("a"), client_uri("b")], ..good.clone() })),
            Refusal::SeveralNames,
        ),
        (
            "a client and another URI",
            Some(ca.issue(&Says { names: vec![client_uri("a"), uri("https://a.invalid")], ..good.clone() })),
            Refusal::SeveralNames,
        ),
        (
            "another trust domain",
            Some(ca.issue(&Says { names: vec![uri("spiffe://other.invalid/client/a")], ..good.clone() })),
            Refusal::OtherTrustDomain,
        ),
        (
            "a trust domain that ours begins",
            Some(ca.issue(&Says { names: vec![uri(&format!("spiffe://{td}.evil.invalid/client/a"))], ..good.clone() })),
            Refusal::OtherTrustDomain,
        ),
        (
            "not a client",
            Some(ca.issue(&Says { names: vec![uri(&format!("spiffe://{td}/node/a"))], ..good.clone() })),
            Refusal::NotAClientName,
        ),
        (
            "a longer path",
            Some(ca.issue(&Says { names: vec![uri(&format!("spiffe://{td}/client/a/b"))], ..good.clone() })),
            Refusal::NotAClientName,
        ),
        (
            "another scheme",
            Some(ca.issue(&Says { names: vec![uri(&format!("https://{td}/client/a"))], ..good.clone() })),
            Refusal::NotAClientName,
        ),
    ];
    for (what, leaf, reason) in cases {
        let before = hub.gate.stats().handshake_failed(reason);
        assert!(!hub.call_once(hub.client_config(leaf.as_ref())).await, "{what}: was served");
        eventually(what, || hub.gate.stats().handshake_failed(reason) == before + 1).await;
    }
    assert_eq!(hub.gate.stats().admitted(), 0);
    assert!(hub.peers.lock().unwrap().is_empty());
    assert!(hub.call_once(hub.client_config(Some(&ca.client("bank-demo", 8)))).await, "the hub still serves others");
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_1_2_and_protocols_but_http2_are_refused() {
    let hub = Hub::start().await;
    let leaf = hub.ca.client("bank-demo", 1);
    let old = hub.client_config_of(Some(&leaf), &[&rustls::version::TLS12], aws_lc_rs::default_provider());
    assert!(!hub.call_once(old).await);
    eventually("TLS 1.2", || hub.gate.stats().handshake_failed(Refusal::Incompatible) == 1).await;
    for alpn in [vec![b"http/1.1".to_vec()], vec![]] {
        let before = hub.gate.stats().handshake_failed(Refusal::NoHttp2);
        let mut config = hub.client_config(Some(&leaf));
        config.alpn_protocols = alpn;
        assert!(!hub.call_once(config).await);
        eventually("no h2", || hub.gate.stats().handshake_failed(Refusal::NoHttp2) == before + 1).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_exchange_is_post_quantum_where_the_client_has_it_and_never_resumed() {
    let hub = Hub::start().await;
    let leaf = hub.ca.client("bank-demo", 1);
    // One configuration, so that the client would resume if it could.
    let config = hub.client_config(Some(&leaf));
    for _ in 0..2 {
        let mut stream = hub.tls_stream(config.clone()).await.unwrap();
        let session = stream.get_ref().1;
        assert_eq!(session.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519MLKEM768);
        assert_eq!(session.handshake_kind(), Some(HandshakeKind::Full));
        // Tickets would come with the first bytes; read them, so that the client has them.
        assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
        assert_eq!(stream.get_ref().1.tls13_tickets_received(), 0);
    }
    let classical = CryptoProvider { kx_groups: vec![aws_lc_rs::kx_group::X25519], ..aws_lc_rs::default_provider() };
    let stream =
        hub.tls_stream(hub.client_config_of(Some(&leaf), &[&rustls::version::TLS13], classical)).await.unwrap();
    assert_eq!(stream.get_ref().1.negotiated_key_exchange_group().unwrap().name(), NamedGroup::X25519);
}

#[tokio::test(flavor = "multi_thread")]
async fn past_the_lists_end_only_pinned_clients_connect_and_are_flagged() {
    let hub = Hub::start_with(Limits::default(), |ca| ca.crl(1, -60, &[13])).await;
    assert!(!hub.call_once(hub.client_config(Some(&hub.ca.client("bank-demo", 1)))).await);
    eventually("refused", || hub.gate.stats().handshake_failed(Refusal::CrlExpired) == 1).await;
    assert!(!hub.call_once(hub.client_config(Some(&hub.ca.client(PINNED, 13)))).await, "revoked, though pinned");
    eventually("refused", || hub.gate.stats().handshake_failed(Refusal::Revoked) == 1).await;

    let court = hub.connect(&hub.ca.client(PINNED, 2)).await;
    court.call().await.unwrap();
    let flagged = || hub.peers.lock().unwrap().last().unwrap().crl_expired();
    assert!(flagged());
    // A fresh list gives the full rights back, on the same connection.
    hub.write_crl(&hub.ca.crl(2, WEEK_S, &[13]));
    hub.tls.reload().unwrap();
    eventually("the flag falls", || !flagged()).await;
    court.call().await.unwrap();
    assert_eq!(hub.gate.stats().admitted(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn revocation_is_checked_along_the_whole_chain() {
    let hub = Hub::start().await;
    let sub = hub.ca.intermediate("Sub CA", 40);
    let mut leaf = sub.client("bank-demo", 1);
    leaf.chain.push(sub.certificate.clone());
    let check = async |root_revokes: &[u64], sub_revokes: Option<&[u64]>, expected: Option<Refusal>| {
        let number = now_unix_s() as u64;
        let sub_list = sub_revokes.map_or(String::new(), |revoked| sub.crl(number, WEEK_S, revoked));
        hub.write_crl(&(hub.ca.crl(number, WEEK_S, root_revokes) + &sub_list));
        hub.tls.reload().unwrap();
        let failed = || expected.map_or(0, |reason| hub.gate.stats().handshake_failed(reason));
        let before = failed();
        assert_eq!(hub.call_once(hub.client_config(Some(&leaf))).await, expected.is_none());
        eventually("counted", || expected.is_none() || failed() == before + 1).await;
    };
    check(&[], Some(&[]), None).await;
    check(&[], Some(&[1]), Some(Refusal::Revoked)).await;
    check(&[40], Some(&[]), Some(Refusal::Revoked)).await;
    check(&[], None, Some(Refusal::RevocationUnknown)).await;
}
