//! `snapshot`: what a replica fetches, next to as many raw bytes over the same TLS, and the time from an empty directory to a
//! replica that answers.

use std::net::Ipv4Addr;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use xinhub_client::{Replica, ReplicaConfig, v1};

use crate::ask::questions;
use crate::compare::{Compared, Contender, Spread, compare, new_table};
use crate::load::{Call, Class, Latency, Line, Shape};
use crate::process::Server;
use crate::publish::publish_beside;
use crate::report::Run;
use crate::side::manifest;
use crate::world::{BANK, COURT, World};
use crate::{Common, Result, note, tls};

const FETCH: &str = "snapshot, FetchChunks";
const RAW: &str = "raw bytes over rustls";
/// Written at a time by the raw side: as much as a chunk of a snapshot.
const WRITE_BYTES: usize = 64 * 1024;
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);
/// A replica's fetch of 10 million entries on a slow machine.
const SYNC_LIMIT: Duration = Duration::from_secs(600);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// The whole run. A call is a whole snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Making the snapshot, by the hub; a quick run fetches what there is.
    pub(crate) made_s: Option<f64>,
    /// A court beside that.
    beside: Option<Beside>,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) compared: Compared,
    /// From an empty directory to a replica that answers, the snapshot being there.
    pub(crate) serving_s: Option<Spread>,
}

/// One clerk who lists and lifts, while a snapshot is made and as long as nothing else goes on.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Beside {
    listed: [Option<Latency>; 2],
    lifted: [Option<Latency>; 2],
    /// What the hub has in memory before, and at most while it makes the snapshot.
    rss_mib: [f64; 2],
}

impl Figures {
    /// Bytes a second.
    pub(crate) fn vs_raw(&self) -> Option<Spread> {
        self.compared.ratio(FETCH, RAW, |one| one.calls_per_s)
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    world.forget_snapshots()?;
    let figures = world.served(async |hub| measure(&world, hub, seconds, rounds).await).await?;
    args.common.output.write(&Run { snapshot: Some(figures), ..Run::of(&filled)? })
}

/// Of a hub that has no snapshot yet.
pub(crate) async fn measure(world: &World, hub: &Server, seconds: f64, rounds: u16) -> Result<Figures> {
    let (bank, court) = (world.client(hub, BANK).await?, world.client(hub, COURT).await?);
    let (clear, _) = questions(world)?;
    note("a court at work, alone");
    let (alone, ()) = publish_beside(&court, &clear, tokio::time::sleep(Duration::from_secs_f64(seconds))).await?;
    note("having a snapshot made");
    let before = hub.usage()?.rss_mib;
    let since = Instant::now();
    let (made_beside, made) = publish_beside(&court, &clear, made(&bank, hub)).await?;
    let made_s = since.elapsed().as_secs_f64();
    let peak = made?;
    let ([alone_listed, alone_lifted], [listed, lifted]) = (alone.latencies(), made_beside.latencies());
    let beside = Beside { listed: [alone_listed, listed], lifted: [alone_lifted, lifted], rss_mib: [before, peak] };
    let fetched = fetch(world, hub, seconds, rounds).await?;
    let mut serving_s = Vec::new();
    for round in 1..=rounds {
        note(format_args!("round {round} of {rounds}: a replica from an empty directory"));
        let dir = tempfile::tempdir_in(world.path("."))?;
        let since = Instant::now();
        let replica = Replica::open(&bank, ReplicaConfig::new(dir.path()).reach(v1::ReplicaReach::Exact))?;
        tokio::time::timeout(SYNC_LIMIT, replica.synced()).await?;
        serving_s.push(since.elapsed().as_secs_f64());
        replica.unsubscribe().await?;
    }
    Ok(Figures { made_s: Some(made_s), beside: Some(beside), serving_s: Some(Spread::of(serving_s)), ..fetched })
}

/// The snapshot that there is, next to as many raw bytes.
pub(crate) async fn fetch(world: &World, hub: &Server, seconds: f64, rounds: u16) -> Result<Figures> {
    let raw = world.serve_raw().await?;
    let snapshot = manifest(&world.client(hub, BANK).await?).await?.snapshot.ok_or("a manifest without a snapshot")?;
    let bytes = snapshot.bytes;
    let fetch = Contender::new(FETCH, hub, || async { Ok(fetches(world.client(hub, BANK).await?, &snapshot)) });
    let read = Contender::new(RAW, &raw, || async { reads(world, &raw, bytes).await });
    let compared = compare(&[fetch, read], Shape::closed(1, 1, seconds), rounds).await?;
    raw.stop().await?;
    Ok(Figures { made_s: None, beside: None, bytes, entries: snapshot.entries, compared, serving_s: None })
}

/// Has a snapshot made; the most that the hub had in memory meanwhile.
async fn made(bank: &xinhub_client::Hub, hub: &Server) -> Result<f64> {
    let (mut peak, mut manifest) = (hub.usage()?.rss_mib, pin!(manifest(bank)));
    loop {
        tokio::select! {
            made = &mut manifest => return made.map(|_| peak),
            () = tokio::time::sleep(BETWEEN_LOOKS) => peak = peak.max(hub.usage()?.rss_mib),
        }
    }
}

fn fetches(hub: xinhub_client::Hub, snapshot: &v1::Snapshot) -> Line {
    let (id, bytes) = (snapshot.id.clone(), snapshot.bytes);
    let call: Call = Arc::new(move |_| {
        let (hub, snapshot) = (hub.clone(), id.clone());
        Box::pin(async move {
            let mut chunks = hub.sync().fetch_chunks(v1::FetchChunksRequest { snapshot, offset: 0 }).await?;
            let mut offset = 0;
            while let Some(chunk) = chunks.next().await? {
                if chunk.offset != offset {
                    return Err(format!("a chunk at {}, expected at {offset}", chunk.offset).into());
                }
                offset += chunk.data.len() as u64;
            }
            if offset != bytes {
                return Err(format!("{offset} bytes of {bytes}").into());
            }
            Ok(Class::Main)
        })
    });
    Line::Calls(call)
}

async fn reads(world: &World, raw: &Server, bytes: u64) -> Result<Line> {
    let mut stream = tls::connect(&tls::client(world, None)?, TcpStream::connect(raw.address).await?).await?;
    Ok(Line::Pipe(Box::new(move |burst| {
        Box::pin(async move {
            let mut tally = crate::load::Tally::new()?;
            let mut buffer = vec![0; WRITE_BYTES];
            loop {
                let began = Instant::now();
                if began >= burst.end {
                    return Ok(tally);
                }
                stream.write_u64(bytes).await?;
                stream.flush().await?;
                let mut missing = bytes;
                while missing > 0 {
                    let most = buffer.len().min(usize::try_from(missing)?);
                    match stream.read(&mut buffer[..most]).await? {
                        0 => return Err("the raw side has closed the connection".into()),
                        read => missing -= read as u64,
                    }
                }
                tally.record(Class::Main, began.elapsed())?;
            }
        })
    })))
}

/// The other side: as many bytes as a connection asks for, until SIGTERM.
pub(crate) async fn raw_server(pki: &Path) -> Result<()> {
    let acceptor = tls::server(pki, None)?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    note(serde_json::json!({ "message": "listening", "listen": listener.local_addr()? }));
    let mut terminate = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            accepted = listener.accept() => {
                let (tcp, acceptor) = (accepted?.0, acceptor.clone());
                tokio::spawn(async move {
                    tcp.set_nodelay(true)?;
                    answer(acceptor.accept(tcp).await?).await
                });
            }
        }
    }
}

async fn answer(mut stream: TlsStream<TcpStream>) -> Result<()> {
    let block = vec![0x5a; WRITE_BYTES];
    loop {
        let mut missing = stream.read_u64().await?;
        while missing > 0 {
            let length = block.len().min(usize::try_from(missing)?);
            stream.write_all(&block[..length]).await?;
            missing -= length as u64;
        }
        stream.flush().await?;
    }
}

pub(crate) fn text(figures: &Figures) -> String {
    let Figures { bytes, entries, compared, serving_s, .. } = figures;
    let mut table = new_table(["bytes", "MiB/s", "MiB/s per server core", "× raw"]);
    let mib = *bytes as f64 / (1024.0 * 1024.0);
    for row in &compared.rows {
        let ratio = compared.ratio(&row.what, RAW, |one| one.calls_per_s);
        table.add_row([
            row.what.clone(),
            row.spread(|one| one.calls_per_s * mib).text(0),
            row.spread(|one| mib * 1e6 / one.server_cpu_us).text(0),
            ratio.map_or_else(String::new, |ratio| ratio.text(2)),
        ]);
    }
    let serving = serving_s.map_or_else(String::new, |serving_s| {
        let serving_s = serving_s.text(2);
        format!("\nFrom an empty directory to a replica of reach `exact` that answers: {serving_s} s.\n")
    });
    format!("{entries} entries, {mib:.1} MiB, of an audience.{}\n\n{table}\n{serving}", making(figures))
}

/// What it took to make, and whoever waited meanwhile.
fn making(figures: &Figures) -> String {
    let Some((made_s, Beside { listed, lifted, rss_mib: [before, peak] })) =
        figures.made_s.zip(figures.beside.as_ref())
    else {
        return String::new();
    };
    let ms = |latencies: &[Option<Latency>; 2], of: fn(Latency) -> f64| {
        let [alone, beside] = latencies.map(|latency| latency.map_or(f64::NAN, of) / 1e3);
        format!("{beside:.1} ({alone:.1}) ms")
    };
    format!(
        " The hub made the snapshot in {made_s:.2} s. A clerk was acknowledged meanwhile, and in parentheses as long as nothing else \
         went on: a listing after {} at half and {} at 99 of 100, a lift after {} and {}. The hub had {before:.0} MiB in memory \
         before, and {peak:.0} MiB at most.",
        ms(listed, |of| of.p50_us),
        ms(listed, |of| of.p99_us),
        ms(lifted, |of| of.p50_us),
        ms(lifted, |of| of.p99_us),
    )
}
