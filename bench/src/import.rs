//! `import`: rows in through the command line, then starts on what they made: after a kill and in good order. And rows in round after
//! round, next to sealing and syncing alone, and to PostgreSQL.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use rustix::fs::{FallocateFlags, fallocate, fdatasync};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use xinhub_ledger::crypto::{RecordKey, seal};

use crate::compare::{Spread, new_table};
use crate::peers::Peers;
use crate::process::{On, Server};
use crate::report::Run;
use crate::start::{self, After, KILLED, Rest, STOPPED};
use crate::world::{Filled, Lag, Place, With, World};
use crate::{Output, Result, note};

/// Of each round: seconds of either.
const ROWS_A_ROUND: u64 = 200_000;
/// Rows that a commit of the hub holds while it is imported into.
const ROWS_A_SYNC: usize = 250;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listings to import
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// Of imports next to other ways, each once
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// The whole run, but for the import itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// Of the detail store, after the start that followed the kill.
    pub(crate) lag: Lag,
    pub(crate) stop_s: f64,
    pub(crate) after: Vec<After>,
    /// After an orderly stop.
    pub(crate) rest: Rest,
}

/// Imports into a hub that has its rows already, in turns with other ways to keep as many.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Compared {
    pub(crate) rows: u64,
    pub(crate) rounds: Vec<Round>,
}

/// Each once.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Round {
    /// Processor time until the details had caught up.
    pub(crate) hub: Way,
    pub(crate) lag: Lag,
    /// Each row sealed for itself and written to a file, and no more than that.
    pub(crate) sealed: Way,
    /// `COPY` of the same file; `None` if it isn't installed.
    pub(crate) postgres: Option<Way>,
}

/// What one took.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Way {
    pub(crate) seconds: f64,
    pub(crate) cpu_s: f64,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    if args.place.is_filled() {
        let (world, filled) = World::filled(&args.place, args.rows).await?;
        let rounds = measure(&world, args.rounds).await?;
        return args.output.write(&Run { import_rounds: Some(rounds), ..Run::of(&filled)? });
    }
    let world = World::create(&args.place)?;
    let hub = world.serve(On::All).await?;
    let filled = world.fill(&hub, args.rows, With::Relations).await?;
    // Before details have caught up, and before any snapshot that an orderly stop writes: the hardest start.
    hub.kill();
    let (hub, hardest) = start::timed(&world).await?;
    note("waiting for the details");
    let lag = world.lag(&hub).await?;
    let stop_s = hub.stop().await?.as_secs_f64();
    let (hub, stopped) = start::timed(&world).await?;
    let rest = start::rest(&world, hub).await?;
    world.serve(On::All).await?.kill();
    let (hub, killed) = start::timed(&world).await?;
    if args.place.is_kept() {
        world.snapshot_made(&hub).await?;
    }
    world.keep(hub, &filled).await?;
    let after = [("kill -9 right after the import", hardest), (STOPPED, stopped), (KILLED, killed)];
    let after = after.map(|(what, start)| After::of(what, vec![start])).to_vec();
    let figures = Figures { lag, stop_s, after, rest };
    let rounds = measure(&world, args.rounds).await?;
    args.output.write(&Run { import: Some(figures), import_rounds: Some(rounds), ..Run::of(&filled)? })
}

/// Each round brings rows that were not there before, and begins with another way.
pub(crate) async fn measure(world: &World, rounds: u16) -> Result<Compared> {
    const WAYS: u16 = 3;
    let hub = world.serve(On::All).await?;
    let postgres = Peers::only_postgres(world).await?;
    let mut measured = Vec::new();
    for number in 1..=rounds {
        note(format_args!("round {number} of {rounds}: imports"));
        let name = "more-listings.csv";
        world.synthesize_more(ROWS_A_ROUND, name).await?;
        let rows = plain(&world.path(name))?;
        let mut round = Round::default();
        for turn in number..number + WAYS {
            // What another has left to be written is not written on this one's time.
            rustix::fs::sync();
            match (turn % WAYS, &postgres) {
                (0, Some(postgres)) => round.postgres = Some(postgres.copy_listings(&rows).await?),
                (0, None) => {}
                (1, _) => (round.hub, round.lag) = imported(world, &hub, name).await?,
                (_, _) => round.sealed = sealed(&rows, &world.path("sealed"))?,
            }
        }
        measured.push(round);
    }
    if let Some(postgres) = postgres {
        postgres.server.stop().await?;
    }
    hub.stop().await?;
    Ok(Compared { rows: ROWS_A_ROUND, rounds: measured })
}

async fn imported(world: &World, hub: &Server, name: &str) -> Result<(Way, Lag)> {
    let cpu_before = hub.usage()?.cpu_s;
    let seconds = world.import(hub, name).await?.seconds;
    let lag = world.lag(hub).await?;
    Ok((Way { seconds, cpu_s: hub.usage()?.cpu_s - cpu_before }, lag))
}

/// A file's header and rows, without what is the hub's own before and behind them.
fn plain(file: &Path) -> Result<String> {
    Ok(fs::read_to_string(file)?
        .lines()
        .filter(|line| !line.starts_with('#'))
        .fold(String::new(), |rows, line| rows + line + "\n"))
}

/// Each row under a key of its own, as the hub has it, and a sync as often as it makes one.
fn sealed(rows: &str, to: &Path) -> Result<Way> {
    let cpu_s = || {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
    };
    let mut file = File::create(to)?;
    // As the hub's segments are, so that a sync needn't write how long the file has become.
    fallocate(&file, FallocateFlags::empty(), 0, 2 * rows.len() as u64)?;
    let rows: Vec<&str> = rows.lines().skip(1).collect();
    let mut together = Vec::new();
    let (began, cpu_before) = (Instant::now(), cpu_s());
    for rows in rows.chunks(ROWS_A_SYNC) {
        together.clear();
        for (row, key) in rows.iter().zip(RecordKey::random_many(rows.len())) {
            together.extend_from_slice(&seal(&key, b"", row.as_bytes()));
        }
        file.write_all(&together)?;
        fdatasync(&file)?;
    }
    let way = Way { seconds: began.elapsed().as_secs_f64(), cpu_s: cpu_s() - cpu_before };
    fs::remove_file(to)?;
    Ok(way)
}

/// How a world was filled.
pub(crate) fn filled(filled: &Filled) -> String {
    let mut imports = new_table(["import", "rows", "s", "rows/s", "hub CPU s"]);
    for one in &filled.imports {
        let (seconds, rate) = (format!("{:.1}", one.seconds), format!("{:.0}", one.rows_per_s));
        imports.add_row([one.file.clone(), one.rows.to_string(), seconds, rate, format!("{:.1}", one.hub_cpu_s)]);
    }
    let lag = filled.lag.map_or_else(String::new, |lag| {
        format!(
            " When the last row was acknowledged, details were {}, a snapshot for replicas being made beside.",
            behind(&Spread::of([lag.events as f64]), &Spread::of([lag.seconds]))
        )
    });
    format!("{imports}\n\nThe hub's peak memory while importing: {:.0} MiB.{lag}\n", filled.peak_rss_mib)
}

/// One way of a round.
type Of = fn(&Round) -> Option<Way>;

fn behind(events: &Spread, seconds: &Spread) -> String {
    let text = |spread: &Spread, decimals: usize| match spread.min == spread.max {
        true => format!("{:.decimals$}", spread.median),
        false => spread.text(decimals),
    };
    format!("{} events behind, and had caught up {} s later", text(events, 0), text(seconds, 1))
}

/// Every other figure, as tables.
pub(crate) fn text(figures: &Figures) -> String {
    let Figures { lag, stop_s, after, rest } = figures;
    format!(
        "After the start that followed a kill right after the import, details were {}. An orderly stop took {stop_s:.1} s.\n\n{}\n\n{}",
        behind(&Spread::of([lag.events as f64]), &Spread::of([lag.seconds])),
        start::starts(after),
        start::at_rest(rest)
    )
}

/// The ways next to each other.
pub(crate) fn compared(compared: &Compared) -> String {
    let Compared { rows, rounds } = compared;
    let rows = *rows as f64;
    let ways: [(&str, Of); 3] = [
        ("xinhub import", |round| Some(round.hub)),
        ("PostgreSQL, COPY", |round| round.postgres),
        ("each row sealed, a sync for 250", |round| Some(round.sealed)),
    ];
    let mut table = new_table(["rows in", "rows/s", "× xinhub import", "server CPU µs/row", "× xinhub import"]);
    for (what, way) in ways {
        if rounds.iter().all(|round| way(round).is_none()) {
            continue;
        }
        let both = || rounds.iter().filter_map(|round| Some((way(round)?, round.hub)));
        table.add_row([
            what.to_owned(),
            Spread::of(both().map(|(one, _)| rows / one.seconds)).text(0),
            Spread::of(both().map(|(one, hub)| hub.seconds / one.seconds)).text(2),
            Spread::of(both().map(|(one, _)| one.cpu_s * 1e6 / rows)).text(1),
            Spread::of(both().map(|(one, hub)| one.cpu_s / hub.cpu_s)).text(2),
        ]);
    }
    let lag = |value: fn(&Lag) -> f64| Spread::of(rounds.iter().map(|round| value(&round.lag)));
    format!(
        "{rows} listings a round, each way first in turn, into the hub with all that it has. Its processor time is that of the details \
         too.\n\n{table}\n\nWhen the last row was acknowledged, details were {}.\n",
        behind(&lag(|lag| lag.events as f64), &lag(|lag| lag.seconds))
    )
}
