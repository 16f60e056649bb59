//! The life of one connection: handshake, service under watch, end.

use std::convert::Infallible;
use std::future::poll_fn;
use std::mem;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Poll;
use std::time::Duration;

use hyper::body::{Body, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls_pki_types::{CertificateDer, UnixTime};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::handshake::Admission;
use super::streams::{Queue, Streams};
use super::{Cut, DrainCounts, Gate, Http2Limits, Peer, Slots, request};
use crate::tls::{Generation, Refusal, Standing};

/// Ends of validity are looked up on the wall clock at least this often, since it may be set, and the machine may sleep.
const MAX_WATCH_INTERVAL: Duration = Duration::from_secs(30);

/// How long calls that came together may take before the first of their answers leaves.
const TOGETHER: Duration = Duration::from_millis(1);

/// Finds a client that went away between handshake and HTTP/2's own keepalive.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);

pub(super) struct Connection {
    gate: Arc<Gate>,
    id: u64,
    remote: SocketAddr,
    shutdown: CancellationToken,
    /// Of the listener that accepted it.
    drain: Arc<DrainCounts>,
    /// Subscribed before the handshake, so that a reload during it is not missed.
    generations: watch::Receiver<Arc<Generation>>,
}

impl Connection {
    pub(super) fn new(
        gate: Arc<Gate>,
        remote: SocketAddr,
        shutdown: CancellationToken,
        drain: Arc<DrainCounts>,
    ) -> Self {
        let id = gate.last_connection_id.fetch_add(1, Ordering::Relaxed) + 1;
        let generations = gate.tls.subscribe();
        Self { gate, id, remote, shutdown, drain, generations }
    }

    pub(super) async fn run<S, B>(mut self, stream: TcpStream, slots: Slots, service: S)
    where
        S: tower::Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Default + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let span = tracing::info_span!("connection", id = self.id, remote = %self.remote);
        async move {
            let Slots { handshake, connection } = slots;
            let admission = match self.handshake(stream).await {
                Ok(admission) => admission,
                Err(reason) => {
                    self.gate.stats.count_handshake_failed(reason);
                    tracing::info!(reason = reason.as_str(), "handshake failed");
                    return;
                }
            };
            drop(handshake);
            self.serve(admission, service).await;
            drop(connection);
        }
        .instrument(span)
        .await;
    }

    async fn handshake(&mut self, stream: TcpStream) -> Result<Admission, Refusal> {
        // Answers are small and each is waited for; a failure here costs only time.
        let _ = stream.set_nodelay(true);
        let _ = SockRef::from(&stream).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE));
        let generation = Arc::clone(&self.generations.borrow_and_update());
        let limit = self.gate.limits.handshake_timeout;
        tokio::select! {
            biased;
            () = self.shutdown.cancelled() => Err(Refusal::ShuttingDown),
            outcome = self.gate.handshakes.handshake(stream, generation, limit) => outcome,
        }
    }

    async fn serve<S, B>(mut self, admission: Admission, service: S)
    where
        S: tower::Service<http::Request<Incoming>, Response = http::Response<B>, Error = Infallible>
            + Clone
            + Send
            + 'static,
        S::Future: Send + 'static,
        B: Body + Default + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let gate = Arc::clone(&self.gate);
        let crl_expired = admission.standing == Standing::CrlExpired;
        let peer = Peer::new(admission.certificate, self.id, crl_expired);
        let client_id = Arc::clone(peer.client_id());
        let Some(_slot) = gate.client_slot(&client_id) else {
            gate.stats.count_refused_per_client();
            tracing::warn!(%client_id, "connection refused: the client has as many as it may");
            return;
        };
        let _active = gate.stats.admit();
        tracing::debug!(%client_id, crl_expired, "connection admitted");

        let requests_peer = peer.clone();
        let service = service_fn(move |incoming| request::call(service.clone(), requests_peer.clone(), incoming));
        let mut streams = Streams::new(TOGETHER);
        let builder = builder(&gate.limits.http2, streams.queue());
        let mut http = pin!(builder.serve_connection(TokioIo::new(admission.stream), service));
        let mut drain_over = pin!(drain_deadline(self.shutdown.clone(), gate.limits.drain_timeout));
        let mut draining = false;
        let cut = loop {
            let watch_interval = self.watch_interval(&peer);
            // Files come first: once they have changed, no answer leaves before the chain is judged by them, since nothing
            // is written while a branch below is at work.
            tokio::select! {
                biased;
                changed = self.generations.changed() => {
                    // The gate holds the sender, so the channel is open.
                    debug_assert!(changed.is_ok());
                    if let Err(cut) = self.judge(&peer, &admission.chain).await { break cut }
                }
                ended = poll_fn(|cx| {
                    let mut woken = true;
                    loop {
                        if let Poll::Ready(ended) = http.as_mut().poll(cx) { break Poll::Ready(ended) }
                        let any = if mem::take(&mut woken) { streams.go_on(cx) } else { streams.begin(cx) };
                        if !any { break Poll::Pending }
                    }
                }) => {
                    tracing::debug!(%client_id, error = ended.err().map(tracing::field::display), "connection closed");
                    return;
                }
                () = tokio::time::sleep(watch_interval) => {
                    if let Err(cut) = self.judge_by_clock(&peer, &admission.chain).await { break cut }
                }
                () = self.shutdown.cancelled(), if !draining => {
                    draining = true;
                    self.drain.open.fetch_add(1, Ordering::Relaxed);
                    http.as_mut().graceful_shutdown();
                }
                () = drain_over.as_mut() => break Cut::Drain,
            }
        };
        gate.stats.count_cut(cut);
        if cut == Cut::Drain {
            self.drain.cut.fetch_add(1, Ordering::Relaxed);
        }
        tracing::info!(%client_id, reason = cut.as_str(), "connection cut");
    }

    /// Judges the certificate anew by the files in force.
    async fn judge(&mut self, peer: &Peer, chain: &Arc<[CertificateDer<'static>]>) -> Result<(), Cut> {
        let generation = Arc::clone(&self.generations.borrow_and_update());
        match self.gate.handshakes.assess(Arc::clone(chain), generation).await {
            Ok(Standing::Good) => {
                peer.set_crl_expired(false);
                Ok(())
            }
            Ok(Standing::CrlExpired) if peer.crl_expired() => Ok(()),
            // Calls under way were let in with more rights than the client has now. It may come back, and is flagged then.
            Ok(Standing::CrlExpired) => Err(Cut::CrlExpired),
            Err(Refusal::Revoked) => Err(Cut::Revoked),
            Err(Refusal::CrlExpired) => Err(Cut::CrlExpired),
            Err(Refusal::Expired) => Err(Cut::Expired),
            Err(_) => Err(Cut::NoLongerTrusted),
        }
    }

    async fn judge_by_clock(&mut self, peer: &Peer, chain: &Arc<[CertificateDer<'static>]>) -> Result<(), Cut> {
        let now_unix_s = UnixTime::now().as_secs();
        if now_unix_s >= peer.not_after_unix_s() {
            return Err(Cut::Expired);
        }
        // Flagged already: only a fresh list, which comes with a generation, changes anything.
        let crl_expired = self.generations.borrow().crl_next_updates_unix_s().any(|end| now_unix_s >= end);
        if crl_expired && !peer.crl_expired() { self.judge(peer, chain).await } else { Ok(()) }
    }

    /// Until the next end of validity. The clock counts whole seconds here, so the end is seen at most one late.
    fn watch_interval(&self, peer: &Peer) -> Duration {
        let now_unix_s = UnixTime::now().as_secs();
        let generation = self.generations.borrow();
        let ends = generation.crl_next_updates_unix_s().chain([peer.not_after_unix_s()]);
        let soonest = ends.filter(|end| *end > now_unix_s).min();
        soonest.map_or(MAX_WATCH_INTERVAL, |end| Duration::from_secs(end - now_unix_s).min(MAX_WATCH_INTERVAL))
    }
}

async fn drain_deadline(shutdown: CancellationToken, limit: Duration) {
    shutdown.cancelled().await;
    tokio::time::sleep(limit).await;
}

fn builder(limits: &Http2Limits, streams: Queue) -> http2::Builder<Queue> {
    let mut builder = http2::Builder::new(streams);
    builder
        .timer(TokioTimer::new())
        // gRPC has no use for it.
        .auto_date_header(false)
        .max_concurrent_streams(limits.max_concurrent_streams)
        .max_pending_accept_reset_streams(limits.max_pending_accept_reset_streams)
        .max_local_error_reset_streams(limits.max_local_error_reset_streams)
        .max_header_list_size(limits.max_header_list_bytes)
        .header_table_size(limits.header_table_bytes)
        .max_frame_size(limits.max_frame_bytes)
        .initial_stream_window_size(limits.initial_stream_window_bytes)
        .initial_connection_window_size(limits.initial_connection_window_bytes)
        .adaptive_window(false)
        .max_send_buf_size(limits.max_send_buffer_bytes)
        .keep_alive_interval(limits.keepalive_interval)
        .keep_alive_timeout(limits.keepalive_timeout);
    builder
}
