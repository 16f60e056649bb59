//! `lookup`: the hub's checks next to the empty RPC in both forms, and next to what somebody might ask instead.

use serde::{Deserialize, Serialize};

use crate::ask::{Questions, checks, questions};
use crate::compare::{BUSY, Compared, Contender, Spread, compare, new_table};
use crate::disk::{self, Syncs};
use crate::load::{Latency, Measured, Shape};
use crate::peers::Peers;
use crate::process::Server;
use crate::report::Run;
use crate::world::{BANK, World};
use crate::{Common, Result, note};

pub(crate) const STOCK: &str = "empty RPC, out of the box";
pub(crate) const TUNED: &str = "empty RPC, tuned";
pub(crate) const SAME: &str = "the same messages, nothing done";
pub(crate) const CHECK: &str = "Check, 1 % listed";
pub(crate) const CLEAR: &str = "Check, nobody listed";
pub(crate) const LISTED: &str = "Check, all listed";
/// Connections, and calls in flight on each: a busy caller, one with more connections, one call at a time.
pub(crate) const SHAPES: [(usize, usize); 3] = [BUSY, (64, 4), (1, 1)];
/// Of a hundred calls of the open load, those that are answered adversely.
pub(crate) const ADVERSE_PERCENT: [usize; 3] = [0, 1, 50];

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    /// Without etcd, PostgreSQL and Redis, where they are there
    #[arg(long)]
    no_peers: bool,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    pub(crate) closed: Vec<Compared>,
    pub(crate) open: Vec<Open>,
    /// Of the disk that adverse answers wait for.
    pub(crate) syncs: Syncs,
}

/// An open load with so many adverse answers, at half of what the hub can do with as many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Open {
    pub(crate) adverse_percent: usize,
    pub(crate) compared: Compared,
}

/// What is compared, and for how long.
#[derive(Clone, Copy)]
pub(crate) struct How<'a> {
    pub(crate) shapes: &'a [(usize, usize)],
    pub(crate) adverse_percent: &'a [usize],
    /// Whether it is also asked about people none of whom is listed, and about those who all are.
    pub(crate) extremes: bool,
    pub(crate) seconds: f64,
    pub(crate) rounds: u16,
}

impl How<'_> {
    pub(crate) fn usual(seconds: f64, rounds: u16) -> Self {
        Self { shapes: &SHAPES, adverse_percent: &ADVERSE_PERCENT, extremes: true, seconds, rounds }
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let (world, filled) = World::filled(&args.common.place, args.common.rows).await?;
    let peers = if args.no_peers { Peers::none() } else { Peers::start(&world, args.common.rows).await? };
    let Common { seconds, rounds, .. } = args.common;
    let how = How::usual(seconds, rounds);
    let figures = world.served(async |hub| measure(&world, hub, &peers, how).await).await?;
    peers.stop().await?;
    args.common.output.write(&Run { lookup: Some(figures), ..Run::of(&filled)? })
}

pub(crate) async fn measure(world: &World, hub: &Server, peers: &Peers, how: How<'_>) -> Result<Figures> {
    let (stock, tuned) = (world.serve_stock_echo().await?, world.serve_tuned_echo().await?);
    let (clear, listed) = questions(world)?;
    let mix = |percent| Questions::mixed(&clear, &listed, percent);
    let of = |what, server, questions| contender(world, what, server, questions);
    let mut contenders =
        vec![of(STOCK, &stock, Questions::empty()), of(TUNED, &tuned, Questions::empty()), of(CHECK, hub, mix(1))];
    if how.extremes {
        let same = of(SAME, &tuned, clear.clone());
        contenders.extend([same, of(CLEAR, hub, clear.clone()), of(LISTED, hub, listed.clone())]);
    }
    contenders.extend(peers.single_keys());
    let mut closed = Vec::new();
    for (connections, in_flight) in how.shapes {
        closed.push(compare(&contenders, Shape::closed(*connections, *in_flight, how.seconds), how.rounds).await?);
    }
    let mut open = Vec::new();
    for adverse_percent in how.adverse_percent {
        let check = || of(CHECK, hub, mix(*adverse_percent));
        let shape = check().share(0.5, how.seconds).await?;
        let pair = [of(TUNED, &tuned, Questions::empty()), check()];
        let compared = compare(&pair, shape, how.rounds).await?;
        open.push(Open { adverse_percent: *adverse_percent, compared });
    }
    drop(contenders);
    note("syncs of the disk");
    let syncs = disk::syncs(world)?;
    for server in [stock, tuned] {
        server.stop().await?;
    }
    Ok(Figures { closed, open, syncs })
}

/// Checks, over connections of a bank's.
pub(crate) fn contender<'a>(world: &'a World, what: &str, server: &'a Server, questions: Questions) -> Contender<'a> {
    Contender::new(what, server, move || {
        let questions = questions.clone();
        async move { Ok(checks(&world.client(server, BANK).await?, &questions)) }
    })
}

fn main_p99(one: &Measured) -> f64 {
    one.main.map_or(f64::NAN, |latency| latency.p99_us)
}

impl Open {
    /// The 99th percentile of clear answers by the tuned echo's.
    pub(crate) fn p99_ratio(&self) -> Option<Spread> {
        self.compared.ratio(CHECK, TUNED, main_p99)
    }
}

impl Figures {
    fn shape(&self, shape: (usize, usize)) -> Option<&Compared> {
        self.closed.iter().find(|one| (one.shape.connections, one.shape.in_flight) == shape)
    }

    /// Calls per second of checks by those of another, under the first shape of load.
    pub(crate) fn rate_ratio(&self, to: &str) -> Option<Spread> {
        self.shape(SHAPES[0])?.ratio(CHECK, to, |one| one.calls_per_s)
    }

    pub(crate) fn cpu_ratio(&self, to: &str) -> Option<Spread> {
        self.shape(SHAPES[0])?.ratio(CHECK, to, |one| one.server_cpu_us)
    }

    /// With one adverse answer in a hundred.
    pub(crate) fn p99_ratio(&self) -> Option<Spread> {
        self.open.iter().find(|open| open.adverse_percent == 1)?.p99_ratio()
    }
}

pub(crate) fn text(figures: &Figures) -> String {
    let mut text = String::new();
    for compared in &figures.closed {
        let table = compared.table(STOCK, TUNED);
        text += &format!("Closed load, connections × in flight: {}.\n\n{table}\n\n", compared.shape.text());
    }
    if !figures.open.is_empty() {
        let mut table = new_table([
            "adverse %",
            "calls/s",
            "echo p99 µs",
            "CLEAR p50 µs",
            "CLEAR p99 µs",
            "× echo",
            "adverse p50 µs",
            "adverse p99 µs",
        ]);
        for open in &figures.open {
            table.add_row(open_row(open));
        }
        text += &format!(
            "Open load at half of what the hub can do, next to the tuned empty RPC at as many calls a second.\n\n{table}\n\n{}\n",
            figures.syncs.text()
        );
    }
    text
}

fn open_row(open: &Open) -> [String; 8] {
    let Compared { rows, .. } = &open.compared;
    let latency = |what: &str, value: fn(&Measured) -> Option<Latency>, of: fn(Latency) -> f64| {
        let row = rows.iter().find(|row| row.what == what);
        let spread = row.map(|row| row.spread(|one| value(one).map_or(f64::NAN, of)));
        spread.filter(|spread| spread.median.is_finite()).map_or_else(String::new, |spread| spread.text(0))
    };
    [
        open.adverse_percent.to_string(),
        open.compared.shape.rate.map_or_else(String::new, |rate| format!("{rate:.0}")),
        latency(TUNED, |one| one.main, |latency| latency.p99_us),
        latency(CHECK, |one| one.main, |latency| latency.p50_us),
        latency(CHECK, |one| one.main, |latency| latency.p99_us),
        open.p99_ratio().map_or_else(String::new, |spread| spread.text(2)),
        latency(CHECK, |one| one.other, |latency| latency.p50_us),
        latency(CHECK, |one| one.other, |latency| latency.p99_us),
    ]
}
