//! Bounds of time and number, and the drain.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use xinhub_server::serve::{DrainReport, Limits};
use xinhub_server::tls::Refusal;

use super::WEEK_S;
use super::hub::{Hub, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn silent_handshake_is_timed_out() {
    let limits = Limits { handshake_timeout: Duration::from_secs(1), max_handshakes: 1, ..Limits::default() };
    let hub = Hub::start_with(limits, |ca| ca.crl(1, WEEK_S, &[])).await;
    let mut silent = TcpStream::connect(hub.address).await.unwrap();
    // It holds the only handshake slot, and gives it back.
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    bank.call().await.unwrap();
    assert_eq!(silent.read(&mut [0; 8]).await.unwrap_or(0), 0);
    assert_eq!(hub.gate.stats().handshake_failed(Refusal::Timeout), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_are_counted_in_all_and_per_client() {
    let limits = Limits { max_connections: 3, max_connections_per_client: 2, ..Limits::default() };
    let hub = Hub::start_with(limits, |ca| ca.crl(1, WEEK_S, &[])).await;
    let (bank, hotel) = (hub.ca.client("bank-demo", 1), hub.ca.client("hotel-demo", 2));
    let first = hub.connect(&bank).await;
    let second = hub.connect(&bank).await;
    first.call().await.unwrap();
    second.call().await.unwrap();
    assert!(!hub.call_once(hub.client_config(Some(&bank))).await, "a third of one client");
    eventually("counted", || hub.gate.stats().refused_per_client() == 1).await;
    eventually("its slot is given back", || hub.gate.stats().active() == 2).await;
    let third = hub.connect(&hotel).await;
    third.call().await.unwrap();
    assert!(!hub.call_once(hub.client_config(Some(&hotel))).await, "a fourth in all");
    assert_eq!(hub.gate.stats().refused_at_capacity(), 1);
    drop((first, third));
    eventually("slots are given back", || hub.gate.stats().active() == 1).await;
    hub.connect(&bank).await.call().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_lets_a_running_call_finish() {
    let hub = Hub::start().await;
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    let idle = hub.connect(&hub.ca.client("hotel-demo", 2)).await;
    idle.call().await.unwrap();
    let running = tokio::spawn({
        let bank = bank.clone();
        async move { bank.call_for(Duration::from_millis(700)).await }
    });
    eventually("the call runs", || hub.peers.lock().unwrap().len() == 2).await;
    let address = hub.address;
    let report = hub.stop().await;
    running.await.unwrap().unwrap();
    assert_eq!(report, DrainReport { open: 2, cut: 0 });
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
    assert!(bank.call().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn drain_cuts_what_outlasts_it() {
    let limits = Limits { drain_timeout: Duration::from_millis(200), ..Limits::default() };
    let hub = Hub::start_with(limits, |ca| ca.crl(1, WEEK_S, &[])).await;
    // Accepted before the other, and still shaking hands.
    let _silent = TcpStream::connect(hub.address).await.unwrap();
    let bank = hub.connect(&hub.ca.client("bank-demo", 1)).await;
    let running = tokio::spawn(async move { bank.call_for(Duration::from_secs(60)).await });
    eventually("the call runs", || hub.peers.lock().unwrap().len() == 1).await;
    let at_work = Arc::clone(&hub.running);
    assert_eq!(hub.stop().await, DrainReport { open: 1, cut: 1 });
    assert!(running.await.unwrap().is_err());
    eventually("nothing runs any more", || at_work.load(SeqCst) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn call_ends_at_its_clients_deadline() {
    let hub = Hub::start().await;
    let stream = hub.tls_stream(hub.client_config(Some(&hub.ca.client("bank-demo", 1)))).await.unwrap();
    // Not tonic's client: it would keep the deadline itself.
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://localhost/grpc.health.v1.Health/Check")
        .header("content-type", "application/grpc")
        .header("x-delay-ms", "60000")
        .header("grpc-timeout", "100m")
        .body(Empty::<Bytes>::new())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    assert_eq!(answer.headers()["grpc-status"], "4");
}
