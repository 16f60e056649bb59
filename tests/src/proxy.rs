//! A way to a hub that can be cut, held up, and led to another hub: what lies between client and hub in practice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Forwards connections. It ends, with them, when this is dropped.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    target: Arc<Mutex<SocketAddr>>,
    /// Changes when every connection is to be cut.
    cuts: watch::Sender<()>,
    stalled: watch::Sender<bool>,
    connections: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// A way to this address.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (cuts, stalled) = (watch::channel(()).0, watch::channel(false).0);
        let connections = Arc::new(AtomicU64::new(0));
        let accepting = {
            let (target, cuts, stalled) = (Arc::clone(&target), cuts.clone(), stalled.clone());
            let connections = Arc::clone(&connections);
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::Relaxed);
                    let hub = *target.lock();
                    let (mut cut, stalled) = (cuts.subscribe(), stalled.subscribe());
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = cut.changed() => {}
                            () = forward(client, hub, stalled) => {}
                        }
                    });
                }
            })
        };
        Proxy { address, target, cuts, stalled, connections, accepting }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Leads connections made from now on elsewhere.
    pub fn lead_to(&self, target: SocketAddr) {
        *self.target.lock() = target;
    }

    /// Cuts every connection.
    pub fn cut(&self) {
        self.cuts.send_replace(());
    }

    /// Lets nothing through any more, and lets nobody know; or lets it through again.
    pub fn stall(&self, stalled: bool) {
        self.stalled.send_replace(stalled);
    }

    /// How many connections there were.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn forward(mut client: TcpStream, hub: SocketAddr, mut stalled: watch::Receiver<bool>) {
    let Ok(mut server) = TcpStream::connect(hub).await else { return };
    loop {
        let held = *stalled.borrow_and_update();
        if held {
            // Half-open: neither side hears of it.
            if stalled.changed().await.is_err() {
                return;
            }
            continue;
        }
        tokio::select! {
            biased;
            changed = stalled.changed() => if changed.is_err() { return },
            ended = pump(&mut client, &mut server) => if ended { return },
        }
    }
}

/// Passes on what there is, one way or the other; whether either side has ended. What a stall finds half written is torn, which TLS
/// takes for a cut.
async fn pump(client: &mut TcpStream, server: &mut TcpStream) -> bool {
    let (mut there, mut back) = ([0; 16 * 1024], [0; 16 * 1024]);
    let moved = tokio::select! {
        _ = client.readable() => client.try_read(&mut there).map(|read| (read, true)),
        _ = server.readable() => server.try_read(&mut back).map(|read| (read, false)),
    };
    match moved {
        Ok((0, _)) => true,
        Ok((read, true)) => server.write_all(&there[..read]).await.is_err(),
        Ok((read, false)) => client.write_all(&back[..read]).await.is_err(),
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
