//! `snapshot`: what a replica fetches, next to as many raw bytes over the same TLS, and the time from an empty directory to a
//! replica that answers.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;
use tokio_rustls::server::TlsStream;
use xinhub_client::{Replica, ReplicaConfig, v1};

use crate::compare::{Compared, Contender, Spread, compare, new_table};
use crate::load::{Call, Class, Line, Shape};
use crate::process::{On, Server};
use crate::report::Run;
use crate::world::{BANK, World};
use crate::{Common, Result, note, tls};

const FETCH: &str = "snapshot, FetchChunks";
const RAW: &str = "raw bytes over rustls";
/// Written at a time by the raw side: as much as a chunk of a snapshot.
const WRITE_BYTES: usize = 64 * 1024;
/// A replica's fetch of 10 million entries on a slow machine.
const SYNC_LIMIT: std::time::Duration = std::time::Duration::from_secs(600);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// The whole run. A call is a whole snapshot.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Making the snapshot, by the hub.
    pub(crate) made_s: f64,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
    pub(crate) compared: Compared,
    /// From an empty directory to a replica that answers, the snapshot being there.
    pub(crate) serving_s: Spread,
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
    let figures = measure(&world, seconds, rounds).await?;
    args.common.output.write(&Run { snapshot: Some(figures), ..Run::of(&filled)? })
}

pub(crate) async fn measure(world: &World, seconds: f64, rounds: u16) -> Result<Figures> {
    let hub = world.serve(On::Servers).await?;
    let raw = world.serve_raw().await?;
    let bank = world.client(&hub, BANK).await?;
    note("having a snapshot made");
    let since = Instant::now();
    let request = v1::GetManifestRequest { instance_id: vec![7; 16], reach: v1::ReplicaReach::Exact.into() };
    let manifest = bank.sync().get_manifest(request).await?;
    let made_s = since.elapsed().as_secs_f64();
    let snapshot = manifest.snapshot.ok_or("a manifest without a snapshot")?;
    let bytes = snapshot.bytes;
    let fetch = Contender::new(FETCH, &hub, || async { Ok(fetches(world.client(&hub, BANK).await?, &snapshot)) });
    let read = Contender::new(RAW, &raw, || async { reads(world, &raw, bytes).await });
    let compared = compare(&[fetch, read], Shape::closed(1, 1, seconds), rounds).await?;
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
    raw.stop().await?;
    hub.stop().await?;
    Ok(Figures { made_s, bytes, entries: snapshot.entries, compared, serving_s: Spread::of(serving_s) })
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
    let Figures { made_s, bytes, entries, compared, serving_s } = figures;
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
    format!(
        "{entries} entries, {mib:.1} MiB, of an audience. The manifest took {made_s:.2} s, in which the hub made the snapshot \
         unless it had one.\n\n{table}\n\nFrom an empty directory to a replica of reach `exact` that answers: {} s.\n",
        serving_s.text(2)
    )
}
