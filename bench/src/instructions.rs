//! `instructions`: what a check costs in instructions, counted by callgrind, so that a regression shows without a clock.
//!
//! What the kernel does is not counted, and on how many threads the work lies doesn't show: `lookup` measures both.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::ask::{Questions, batches, checks, questions, stream};
use crate::compare::new_table;
use crate::load::{self, Line, Shape};
use crate::process::{On, Server};
use crate::report::Run;
use crate::world::{BANK, Place, World};
use crate::{Output, Result, note};

const EMPTY: &str = "empty RPC, tuned";
const BATCH: usize = 1_000;
/// Connections, and calls in flight on each.
const SHAPE: (usize, usize) = (4, 32);
const WARM_UP_S: f64 = 3.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listings on the hub: each instruction takes fifty here, and among more a miss costs as many
    #[arg(long, default_value_t = 2_000)]
    rows: u64,
    /// How long each is counted, in seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Keep callgrind's files in this directory, for callgrind_annotate
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    rows: Vec<Row>,
}

/// One thing counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    what: String,
    /// For one identity.
    instructions: f64,
    asked: u64,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let (world, filled) = World::filled(&args.place, args.rows).await?;
    let (clear, listed) = questions(&world)?;
    let mut rows = Vec::new();
    let echo = Counted::start(&world, world.tuned_echo()?, "echo", args.keep.as_deref()).await?;
    rows.push(echo.count(EMPTY, 1, args.seconds, |hub| checks(hub, &Questions::empty())).await?);
    echo.server.stop().await?;
    let hub = Counted::start(&world, world.hub(), "hub", args.keep.as_deref()).await?;
    // Its store is opened beside the first calls.
    world.details_caught_up(&hub.server).await?;
    rows.push(hub.count("Check, CLEAR", 1, args.seconds, |hub| checks(hub, &clear)).await?);
    rows.push(hub.count("Check, listed", 1, args.seconds, |hub| checks(hub, &listed)).await?);
    rows.push(hub.count("CheckStream, CLEAR", 1, args.seconds, |hub| stream(hub, &clear)).await?);
    let batch = hub.count("BatchCheck of 1,000, CLEAR", BATCH, args.seconds, |hub| batches(hub, &clear, BATCH));
    rows.push(batch.await?);
    hub.server.stop().await?;
    args.output.write(&Run { instructions: Some(Figures { rows }), ..Run::of(&filled)? })
}

/// A server under callgrind.
struct Counted<'a> {
    world: &'a World,
    server: Server,
    out: PathBuf,
}

impl<'a> Counted<'a> {
    async fn start(world: &'a World, command: Command, name: &str, keep: Option<&Path>) -> Result<Self> {
        let name = format!("{name}.callgrind");
        let out = keep.map_or_else(|| world.path(&name), |dir| dir.join(&name));
        // What an earlier run has left would be taken for this one's.
        for number in 1.. {
            let old = PathBuf::from(format!("{}.{number}", out.display()));
            if !old.exists() {
                break;
            }
            std::fs::remove_file(old)?;
        }
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["-q", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display()));
        valgrind.arg(command.get_program()).args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            valgrind.current_dir(dir);
        }
        let server = Server::start(valgrind, &out.with_extension("log"), On::Servers).await?;
        Ok(Self { world, server, out })
    }

    /// Instructions of the server, by the identities that it was asked about meanwhile.
    async fn count(
        &self,
        what: &str,
        per_call: usize,
        seconds: f64,
        line: impl Fn(&xinhub_client::Hub) -> Line,
    ) -> Result<Row> {
        note(format_args!("counting: {what}"));
        let connect = async || {
            let mut lines = Vec::new();
            for _ in 0..SHAPE.0 {
                lines.push(line(&self.world.client(&self.server, BANK).await?));
            }
            Result::Ok(lines)
        };
        // What is made once, and lazily, is made by then.
        load::run(&self.server, connect().await?, Shape::closed(SHAPE.0, SHAPE.1, WARM_UP_S)).await?;
        let lines = connect().await?;
        self.control("--zero").await?;
        let measured = load::run(&self.server, lines, Shape::closed(SHAPE.0, SHAPE.1, seconds)).await?;
        self.control("--dump").await?;
        let asked = measured.calls * u64::try_from(per_call)?;
        Ok(Row { what: what.to_owned(), instructions: self.total()? / asked as f64, asked })
    }

    /// Of the newest dump: callgrind numbers what it writes on demand, and writes some files more than one was asked for.
    fn total(&self) -> Result<f64> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", self.out.display()));
        let newest = (1..).map(numbered).take_while(|path| path.exists()).last();
        let text = std::fs::read_to_string(newest.ok_or("callgrind has written nothing")?)?;
        let total = |line| str::strip_prefix(line, "totals: ").or(str::strip_prefix(line, "summary: "));
        Ok(text.lines().rev().find_map(total).ok_or("callgrind's file tells no total")?.trim().parse()?)
    }

    async fn control(&self, what: &str) -> Result<()> {
        let mut command = Command::new("callgrind_control");
        command.arg(what).arg(self.server.id().to_string()).stdout(Stdio::null());
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        if status.success() { Ok(()) } else { Err(format!("callgrind_control {what}: {status}").into()) }
    }
}

/// Instructions of each.
pub(crate) fn text(figures: &Figures) -> String {
    let empty = figures.rows.iter().find(|row| row.what == EMPTY).map_or(f64::NAN, |row| row.instructions);
    let mut table = new_table(["what", "instructions of the server", "× empty RPC, tuned"]);
    for row in &figures.rows {
        let times = row.instructions / empty;
        table.add_row([row.what.clone(), format!("{:.0}", row.instructions), format!("{times:.2}")]);
    }
    format!("Outside of the kernel, for one identity, with {} × {} calls in flight.\n\n{table}\n", SHAPE.0, SHAPE.1)
}
