//! `batch`: a thousand identities at a time, next to Redis with a thousand keys at a time.

use serde::{Deserialize, Serialize};

use crate::ask::{Questions, batches, questions};
use crate::compare::{Compared, Contender, Row, Spread, compare, new_table};
use crate::load::Shape;
use crate::peers::{Peers, REDIS_MGET};
use crate::process::Server;
use crate::report::Run;
use crate::world::{BANK, World};
use crate::{Common, Result};

const BATCH: &str = "BatchCheck of 1,000";
const TOGETHER: u32 = 1_000;
/// As Redis was found to do its best.
const CONNECTIONS: usize = 4;
const IN_FLIGHT: usize = 4;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Without Redis, where it is there
    #[arg(long)]
    no_peers: bool,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) compared: Compared,
}

impl Figures {
    /// Identities that a second of one of the hub's processors answers.
    pub(crate) fn ids_per_core_s(&self) -> Option<Spread> {
        self.compared.row(BATCH).map(Row::asked_per_cpu_s)
    }

    /// Identities a second by keys a second.
    pub(crate) fn vs_redis(&self) -> Option<Spread> {
        self.compared.ratio(BATCH, REDIS_MGET, |one| one.calls_per_s)
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    let peers = if args.no_peers { Peers::none() } else { Peers::only_redis(&world, rows).await? };
    let figures = world.served(async |hub| measure(&world, hub, &peers, seconds, rounds).await).await?;
    peers.stop().await?;
    args.common.output.write(&Run { batch: Some(figures), ..Run::of(&filled)? })
}

pub(crate) async fn measure(world: &World, hub: &Server, peers: &Peers, seconds: f64, rounds: u16) -> Result<Figures> {
    let (clear, listed) = questions(world)?;
    let mixed = Questions::mixed(&clear, &listed, 1);
    let connect = || async {
        let client = world.client(hub, BANK).await?;
        Ok(batches(&client, &mixed, TOGETHER as usize))
    };
    let mut contenders = vec![Contender::new(BATCH, hub, connect).per_call(TOGETHER)];
    contenders.extend(peers.thousand_keys());
    let compared = compare(&contenders, Shape::closed(CONNECTIONS, IN_FLIGHT, seconds), rounds).await?;
    Ok(Figures { compared })
}

pub(crate) fn text(figures: &Figures) -> String {
    let Figures { compared } = figures;
    let mut table = new_table(["call", "ids/s", "ids/s per server core", "server busy %", "p50 µs", "p99 µs"]);
    for row in &compared.rows {
        let latency = |of: fn(crate::load::Latency) -> f64| row.spread(|one| one.main.map_or(f64::NAN, of)).text(0);
        table.add_row([
            row.what.clone(),
            row.asked_per_s().text(0),
            row.asked_per_cpu_s().text(0),
            row.spread(|one| one.server_busy * 100.0).text(0),
            latency(|latency| latency.p50_us),
            latency(|latency| latency.p99_us),
        ]);
    }
    let ratio =
        figures.vs_redis().map_or_else(String::new, |ratio| format!("\nIds by keys a second: {}.\n", ratio.text(2)));
    format!("{} connections × in flight, one in a hundred listed.\n\n{table}\n{ratio}", compared.shape.text())
}
