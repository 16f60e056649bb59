//! A way to a hub that can be cut, held up, and led to another hub: what lies between client and hub in practice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

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
    way: watch::Sender<Way>,
    connections: Arc<AtomicU64>,
    down: Arc<Down>,
    accepting: JoinHandle<()>,
}

/// How it lets through what comes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Way {
    #[default]
    Open,
    /// Nothing at all.
    Stalled,
    /// Nothing of one connection.
    StalledOne(u64),
    /// Little by little of one connection.
    Trickling(u64),
}

/// What comes from the hub, in bytes: so much has, and no more than so much may.
#[derive(Debug)]
struct Down {
    passed: AtomicU64,
    most: AtomicU64,
}

impl Down {
    fn left(&self) -> u64 {
        self.most.load(Ordering::Relaxed).saturating_sub(self.passed.load(Ordering::Relaxed))
    }
}

/// Of one connection that trickles, at a time and between two times.
const TRICKLE_BYTES: usize = 192;
const TRICKLE_EVERY: Duration = Duration::from_millis(10);

impl Proxy {
    /// A way to this address.
    ///
    /// # Panics
    /// Where no port is free.
    pub async fn to(target: SocketAddr) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let target = Arc::new(Mutex::new(target));
        let (cuts, way) = (watch::channel(()).0, watch::channel(Way::Open).0);
        let connections = Arc::new(AtomicU64::new(0));
        let down = Arc::new(Down { passed: AtomicU64::new(0), most: AtomicU64::new(u64::MAX) });
        let accepting = {
            let (target, cuts, way) = (Arc::clone(&target), cuts.clone(), way.clone());
            let (connections, down) = (Arc::clone(&connections), Arc::clone(&down));
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    let number = connections.fetch_add(1, Ordering::Relaxed) + 1;
                    let hub = *target.lock();
                    let (mut cut, way, down) = (cuts.subscribe(), way.subscribe(), Arc::clone(&down));
                    tokio::spawn(async move {
                        tokio::select! {
                            _ = cut.changed() => {}
                            () = forward(client, hub, number, (way, down)) => {}
                        }
                    });
                }
            })
        };
        Proxy { address, target, cuts, way, connections, down, accepting }
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
        self.way.send_replace(if stalled { Way::Stalled } else { Way::Open });
    }

    /// Lets nothing of the newest connection through: of a replica's two it is the one for changes.
    pub fn stall_newest(&self) {
        self.way.send_replace(Way::StalledOne(self.connections()));
    }

    /// Lets little by little of the newest connection through.
    pub fn trickle_newest(&self) {
        self.way.send_replace(Way::Trickling(self.connections()));
    }

    /// How many bytes have come from the hub.
    pub fn passed(&self) -> u64 {
        self.down.passed.load(Ordering::Relaxed)
    }

    /// Lets so many more bytes come from the hub, on all connections together, and then nothing.
    pub fn let_through(&self, bytes: u64) {
        self.down.most.store(self.passed().saturating_add(bytes), Ordering::Relaxed);
        self.stall(false);
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

async fn forward(
    mut client: TcpStream,
    hub: SocketAddr,
    number: u64,
    (mut way, down): (watch::Receiver<Way>, Arc<Down>),
) {
    let Ok(mut server) = TcpStream::connect(hub).await else { return };
    loop {
        let now = *way.borrow_and_update();
        if now == Way::Stalled || now == Way::StalledOne(number) || down.left() == 0 {
            // Half-open: neither side hears of it.
            if way.changed().await.is_err() {
                return;
            }
            continue;
        }
        let most = if now == Way::Trickling(number) { TRICKLE_BYTES } else { 16 * 1024 };
        tokio::select! {
            biased;
            changed = way.changed() => if changed.is_err() { return },
            ended = pump(&mut client, &mut server, most, &down) => if ended { return },
        }
        if most == TRICKLE_BYTES {
            tokio::time::sleep(TRICKLE_EVERY).await;
        }
    }
}

/// Passes on what there is, one way or the other; whether either side has ended. What a stall finds half written is torn, which TLS
/// takes for a cut.
async fn pump(client: &mut TcpStream, server: &mut TcpStream, most: usize, down: &Down) -> bool {
    let (mut there, mut back) = ([0; 16 * 1024], [0; 16 * 1024]);
    let most_back = usize::try_from(down.left()).unwrap_or(most).min(most);
    if most_back == 0 {
        // Another connection has had the last of it.
        return false;
    }
    let moved = tokio::select! {
        _ = client.readable() => client.try_read(&mut there[..most]).map(|read| (read, true)),
        _ = server.readable() => server.try_read(&mut back[..most_back]).map(|read| (read, false)),
    };
    match moved {
        Ok((0, _)) => true,
        Ok((read, true)) => server.write_all(&there[..read]).await.is_err(),
        Ok((read, false)) => {
            down.passed.fetch_add(read as u64, Ordering::Relaxed);
            client.write_all(&back[..read]).await.is_err()
        }
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}
