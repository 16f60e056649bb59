//! The way in: accepts connections, has them prove who they are, and serves HTTP/2 on them.
//!
//! What this module promises:
//! - A service sees a request only with a [`Peer`] in its extensions, from a connection that [`crate::tls`] admitted.
//! - A live connection is cut as soon as its certificate no longer stands: revoked or untrusted after a reload, past its
//!   `notAfter`, or past its revocation list's `nextUpdate`. Others don't notice.
//! - Every count, size and wait that a client could stretch has a bound, in [`Limits`].
//! - Handshakes run on threads of their own, so that a storm of them can't delay an answer.
//! - A drain lets running calls finish, up to a limit, and then returns.
//!
//! tonic's own TLS has none of this, so tonic supplies `Routes` alone, and hyper serves them here. Sizes of *messages* are not
//! bounded here but by the services, whose generated servers know them (`max_decoding_message_size`).
//!
//! The caller owns the sockets and the runtime: [`Gate::serve`] runs on whichever it is polled on, and several listeners
//! (one per core with `SO_REUSEPORT`, say) may share one gate and its limits.

mod connection;
mod handshake;
mod peer;
mod request;
mod stats;
mod streams;

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::body::{Body, Incoming};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::tls::TlsState;
use connection::Connection;
use handshake::HandshakePool;
pub use peer::Peer;
pub use stats::{ConnectionStats, Cut};

/// The bounds of a gate. The defaults suit a hub with a few thousand institutions.
#[derive(Clone, Debug)]
pub struct Limits {
    /// A client that hasn't proved itself by then is dropped. Default 5 s.
    pub handshake_timeout: Duration,
    /// Handshakes at a time; further connections wait, most of them in the kernel's backlog. Default 256.
    pub max_handshakes: usize,
    /// Threads for handshakes. Default 2.
    pub handshake_threads: usize,
    /// Connections at a time, those in handshake included; further ones are closed at once. Default 8,192.
    pub max_connections: usize,
    /// Connections of one client id at a time. Default 64.
    pub max_connections_per_client: usize,
    /// How long a drain waits for running calls before it cuts them. Default 30 s.
    pub drain_timeout: Duration,
    /// HTTP/2's own bounds.
    pub http2: Http2Limits,
}

/// What HTTP/2 (RFC 9113) leaves to each side, per connection.
#[derive(Clone, Debug)]
pub struct Http2Limits {
    /// Streams at a time (`SETTINGS_MAX_CONCURRENT_STREAMS`). Default 256.
    pub max_concurrent_streams: u32,
    /// Streams the client may reset before the hub has looked at them, before it is sent away: rapid reset,
    /// CVE-2023-44487. Default 20.
    pub max_pending_accept_reset_streams: usize,
    /// Streams the hub may have to reset for the client's errors, before it is sent away (CVE-2025-8671). Default 128.
    pub max_local_error_reset_streams: usize,
    /// Bytes of a request's headers, uncompressed (`SETTINGS_MAX_HEADER_LIST_SIZE`). Default 16 KiB.
    pub max_header_list_bytes: u32,
    /// Bytes of the header compression table (`SETTINGS_HEADER_TABLE_SIZE`). Default 4 KiB.
    pub header_table_bytes: u32,
    /// Bytes of a frame that the hub takes (`SETTINGS_MAX_FRAME_SIZE`); at least 16 KiB. Default 16 KiB.
    pub max_frame_bytes: u32,
    /// Bytes in flight to the hub per stream. Default 256 KiB.
    pub initial_stream_window_bytes: u32,
    /// Bytes in flight to the hub per connection. Default 1 MiB.
    pub initial_connection_window_bytes: u32,
    /// Bytes the hub buffers per stream for a client slow to read, before the service has to wait. Default 64 KiB.
    pub max_send_buffer_bytes: usize,
    /// Silence after which the hub pings. Default 20 s.
    pub keepalive_interval: Duration,
    /// Time for the ping's answer before the connection is given up. Default 10 s.
    pub keepalive_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake_timeout: Duration::from_secs(5),
            max_handshakes: 256,
            handshake_threads: 2,
            max_connections: 8192,
            max_connections_per_client: 64,
            drain_timeout: Duration::from_secs(30),
            http2: Http2Limits::default(),
        }
    }
}

impl Default for Http2Limits {
    fn default() -> Self {
        Self {
            max_concurrent_streams: 256,
            max_pending_accept_reset_streams: 20,
            max_local_error_reset_streams: 128,
            max_header_list_bytes: 16 * 1024,
            header_table_bytes: 4096,
            max_frame_bytes: 16 * 1024,
            initial_stream_window_bytes: 256 * 1024,
            initial_connection_window_bytes: 1024 * 1024,
            max_send_buffer_bytes: 64 * 1024,
            keepalive_interval: Duration::from_secs(20),
            keepalive_timeout: Duration::from_secs(10),
        }
    }
}

/// How a drain went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DrainReport {
    /// Connections told to go elsewhere; those still shaking hands are just dropped.
    pub open: u64,
    /// Of these, cut because their calls outlasted [`Limits::drain_timeout`].
    pub cut: u64,
}

#[derive(Default)]
struct DrainCounts {
    open: AtomicU64,
    cut: AtomicU64,
}

/// Admits connections by one [`TlsState`] under one set of [`Limits`].
pub struct Gate {
    tls: Arc<TlsState>,
    limits: Limits,
    stats: ConnectionStats,
    handshakes: HandshakePool,
    /// One permit per handshake under way.
    handshake_slots: Arc<Semaphore>,
    /// One permit per connection.
    connection_slots: Arc<Semaphore>,
    per_client: Mutex<HashMap<Arc<str>, usize>>,
    last_connection_id: AtomicU64,
}

impl Gate {
    /// Starts the handshake threads; opens no socket.
    ///
    /// # Errors
    /// If the system gives no threads.
    pub fn new(tls: Arc<TlsState>, limits: Limits) -> io::Result<Arc<Self>> {
        Ok(Arc::new(Self {
            handshakes: HandshakePool::start(limits.handshake_threads)?,
            handshake_slots: Arc::new(Semaphore::new(limits.max_handshakes)),
            connection_slots: Arc::new(Semaphore::new(limits.max_connections)),
            per_client: Mutex::new(HashMap::new()),
            last_connection_id: AtomicU64::new(0),
            stats: ConnectionStats::default(),
            tls,
            limits,
        }))
    }

    /// The counters.
    pub fn stats(&self) -> &ConnectionStats {
        &self.stats
    }

    /// Serves `service` (tonic's `Routes`, bare or under tower layers) on `listener` until `shutdown` is cancelled, then
    /// drains: stops accepting, tells clients to go elsewhere (GOAWAY), waits for running calls, cuts those that outlast
    /// [`Limits::drain_timeout`], and returns. Streams without an end of their own should watch the same token.
    ///
    /// Each request carries a [`Peer`] in its extensions, and ends at the deadline of its `grpc-timeout` header.
    pub async fn serve<S, B>(
        self: &Arc<Self>,
        listener: TcpListener,
        service: S,
        shutdown: CancellationToken,
    ) -> DrainReport
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
        let connections = TaskTracker::new();
        let drain = Arc::new(DrainCounts::default());
        while let Some((stream, remote, slots)) = self.accept(&listener, &shutdown).await {
            let connection = Connection::new(Arc::clone(self), remote, shutdown.clone(), Arc::clone(&drain));
            connections.spawn(connection.run(stream, slots, service.clone()));
        }
        drop(listener);
        connections.close();
        connections.wait().await;
        DrainReport { open: drain.open.load(Ordering::Relaxed), cut: drain.cut.load(Ordering::Relaxed) }
    }

    /// The next connection with its slots, or `None` once shutting down.
    async fn accept(
        &self,
        listener: &TcpListener,
        shutdown: &CancellationToken,
    ) -> Option<(TcpStream, SocketAddr, Slots)> {
        let next = async {
            let (stream, remote, connection) = self.accept_within_capacity(listener).await;
            // Not before the accept: of several listeners, an idle one would keep a slot from the others. The semaphore is
            // never closed, so a slot comes, at the latest when a handshake under way times out.
            let handshake = Arc::clone(&self.handshake_slots).acquire_owned().await.ok()?;
            Some((stream, remote, Slots { handshake, connection }))
        };
        tokio::select! {
            biased;
            () = shutdown.cancelled() => None,
            next = next => next,
        }
    }

    async fn accept_within_capacity(&self, listener: &TcpListener) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let (stream, remote) = match listener.accept().await {
                Ok(accepted) => accepted,
                Err(error) => {
                    // ECONNABORTED passes; EMFILE and ENFILE do when a connection ends. Neither is a reason to stop.
                    tracing::warn!(%error, "accept failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            };
            self.stats.count_accepted();
            match Arc::clone(&self.connection_slots).try_acquire_owned() {
                Ok(slot) => return (stream, remote, slot),
                Err(_) => {
                    self.stats.count_refused_at_capacity();
                    tracing::debug!(%remote, "connection refused: at capacity");
                }
            }
        }
    }

    /// Counts one more connection of a client, unless it has as many as it may.
    fn client_slot(self: &Arc<Self>, client_id: &Arc<str>) -> Option<ClientSlot> {
        let mut per_client = self.per_client.lock();
        let count = per_client.entry(Arc::clone(client_id)).or_insert(0);
        if *count >= self.limits.max_connections_per_client {
            return None;
        }
        *count += 1;
        Some(ClientSlot { gate: Arc::clone(self), client_id: Arc::clone(client_id) })
    }
}

/// What an accepted connection holds of the gate's bounds; given back when dropped.
struct Slots {
    handshake: OwnedSemaphorePermit,
    connection: OwnedSemaphorePermit,
}

struct ClientSlot {
    gate: Arc<Gate>,
    client_id: Arc<str>,
}

impl Drop for ClientSlot {
    fn drop(&mut self) {
        let mut per_client = self.gate.per_client.lock();
        if let Some(count) = per_client.get_mut(&self.client_id) {
            *count -= 1;
            if *count == 0 {
                per_client.remove(&self.client_id);
            }
        }
    }
}
