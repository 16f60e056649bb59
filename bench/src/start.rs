//! `start`: from the start of the process to the first answer, after an orderly stop and after a kill, and what a hub at rest holds
//! in memory and on disk.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use xinhub_client::v1;

use crate::ask::nobody;
use crate::compare::{Spread, new_table};
use crate::process::{On, Server};
use crate::report::Run;
use crate::world::{BANK, COURT, Disk, MEASURE, World};
use crate::{Common, Result, details, note};

pub(crate) const STOPPED: &str = "orderly stop";
pub(crate) const KILLED: &str = "kill -9, all quiet before";

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) after: Vec<After>,
    pub(crate) rest: Rest,
}

/// Starts after the same thing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct After {
    pub(crate) what: String,
    pub(crate) starts: Vec<Start>,
}

/// One start.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Start {
    /// From the start of the process until it listens.
    pub(crate) listening_s: f64,
    /// From the start of the process until the first check is answered.
    pub(crate) answered_s: f64,
    pub(crate) peak_rss_mib: f64,
}

/// A hub that does nothing.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Rest {
    pub(crate) listings: u64,
    pub(crate) index_keys: u64,
    pub(crate) index_bytes: u64,
    pub(crate) listing_table_bytes: u64,
    pub(crate) started: Memory,
    /// Once its court has read listings from everywhere.
    pub(crate) read: Memory,
    pub(crate) disk: Vec<Disk>,
}

/// What it holds at one time besides index and table.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// All of it.
    pub(crate) rss_mib: f64,
    pub(crate) detail_cache_bytes: u64,
    /// In a process of its own.
    pub(crate) detail_store_mib: f64,
}

impl After {
    pub(crate) fn of(what: &str, starts: Vec<Start>) -> Self {
        Self { what: what.to_owned(), starts }
    }

    pub(crate) fn answered_s(&self) -> Spread {
        Spread::of(self.starts.iter().map(|start| start.answered_s))
    }
}

impl Figures {
    /// The slower of the two.
    pub(crate) fn answered_s(&self) -> Option<Spread> {
        self.after.iter().map(After::answered_s).max_by(|one, other| one.median.total_cmp(&other.median))
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let (world, filled) = World::filled(&args.common.place, args.common.rows).await?;
    let figures = measure(&world, args.common.rounds).await?;
    args.common.output.write(&Run { start: Some(figures), ..Run::of(&filled)? })
}

pub(crate) async fn measure(world: &World, rounds: u16) -> Result<Figures> {
    let (mut stopped, mut killed) = (Vec::new(), Vec::new());
    world.serve(On::All).await?.stop().await?;
    for round in 1..=rounds {
        note(format_args!("round {round} of {rounds}: starts"));
        let (hub, start) = timed(world).await?;
        stopped.push(start);
        hub.kill();
        let (hub, start) = timed(world).await?;
        killed.push(start);
        hub.stop().await?;
    }
    let (hub, _) = timed(world).await?;
    let rest = rest(world, hub).await?;
    Ok(Figures { after: vec![After::of(STOPPED, stopped), After::of(KILLED, killed)], rest })
}

/// A start on all processors.
pub(crate) async fn timed(world: &World) -> Result<(Server, Start)> {
    let hub = world.start(On::All).await?;
    first_check(world, &hub).await?;
    let answered_s = hub.started.elapsed().as_secs_f64();
    let listening_s = hub.listening_after.as_secs_f64();
    let start = Start { listening_s, answered_s, peak_rss_mib: hub.usage()?.peak_rss_mib };
    Ok((hub, start))
}

/// One that is answered, whatever it says.
async fn first_check(world: &World, hub: &Server) -> Result<()> {
    let request = nobody(MEASURE)?;
    world.client(hub, BANK).await?.lookup().within(Duration::from_secs(60)).check(request).await?;
    Ok(())
}

/// Of a hub that was just started, and is stopped.
pub(crate) async fn rest(world: &World, hub: Server) -> Result<Rest> {
    world.details_caught_up(&hub).await?;
    let (started, rss_mib) = (world.status(&hub).await?, hub.usage()?.rss_mib);
    let court = world.client(&hub, COURT).await?;
    for listing in details::read(started.listings) {
        court.lookup().get_listing(v1::GetListingRequest { listing, consistency: None }).await?;
    }
    let (read, read_rss_mib) = (world.status(&hub).await?, hub.usage()?.rss_mib);
    hub.stop().await?;
    let disk = world.disk()?;
    let alone = world.details_alone(started.listings).await?;
    let memory = |status: &v1::GetStatusResponse, rss_mib, detail_store_mib| Memory {
        rss_mib,
        detail_cache_bytes: status.detail_cache_bytes,
        detail_store_mib,
    };
    Ok(Rest {
        listings: started.listings,
        index_keys: started.index_keys,
        index_bytes: started.index_bytes,
        listing_table_bytes: started.listing_table_bytes,
        started: memory(&started, rss_mib, alone.opened_mib),
        read: memory(&read, read_rss_mib, alone.read_mib),
        disk,
    })
}

pub(crate) fn text(figures: &Figures) -> String {
    format!("{}\n\n{}", starts(&figures.after), at_rest(&figures.rest))
}

/// Each kind of start, with its median and spread.
pub(crate) fn starts(after: &[After]) -> String {
    let mut table = new_table(["start after", "listening s", "first answer s", "peak memory MiB"]);
    for one in after {
        let spread = |value: fn(&Start) -> f64| Spread::of(one.starts.iter().map(value));
        table.add_row([
            one.what.clone(),
            spread(|start| start.listening_s).text(2),
            one.answered_s().text(2),
            spread(|start| start.peak_rss_mib).text(0),
        ]);
    }
    table.to_string()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1024.0 * 1024.0)
}

/// Where memory and disk go.
pub(crate) fn at_rest(rest: &Rest) -> String {
    let per_listing = |bytes: u64| format!("{:.0}", bytes as f64 / rest.listings as f64);
    let both = |value: fn(&Memory) -> f64| [&rest.started, &rest.read].map(value);
    let (index, table) = (mib(rest.index_bytes), mib(rest.listing_table_bytes));
    let cache = both(|memory| mib(memory.detail_cache_bytes));
    let (store, all) = (both(|memory| memory.detail_store_mib), both(|memory| memory.rss_mib));
    let left = [0, 1].map(|at| all[at] - index - table - store[at] - cache[at]);
    let each = |bytes: u64, count: u64| format!("{:.1}", bytes as f64 / count as f64);
    let mut memory = new_table(["resident at rest, MiB", "after its start", "2,000 listings read", "bytes each"]);
    for (what, [started, read], each) in [
        (format!("index, {}", rest.index_keys), [index; 2], each(rest.index_bytes, rest.index_keys)),
        (format!("listing table, {}", rest.listings), [table; 2], each(rest.listing_table_bytes, rest.listings)),
        ("detail store, alone in a process".to_owned(), store, String::new()),
        ("cache of details".to_owned(), cache, String::new()),
        ("the rest".to_owned(), left, String::new()),
        ("all".to_owned(), all, String::new()),
    ] {
        memory.add_row([what, format!("{started:.1}"), format!("{read:.1}"), each]);
    }
    let mut disk = new_table(["on disk", "MiB", "bytes per listing", "allocated MiB", "allocated per listing"]);
    let sum = |value: fn(&Disk) -> u64| rest.disk.iter().map(value).sum();
    let all = Disk {
        what: "all".to_owned(),
        bytes: sum(|part| part.bytes),
        allocated_bytes: sum(|part| part.allocated_bytes),
    };
    for part in rest.disk.iter().chain([&all]) {
        let [held, allocated] = [part.bytes, part.allocated_bytes].map(|bytes| format!("{:.1}", mib(bytes)));
        disk.add_row([part.what.clone(), held, per_listing(part.bytes), allocated, per_listing(part.allocated_bytes)]);
    }
    format!("{memory}\n\n{disk}\n")
}
