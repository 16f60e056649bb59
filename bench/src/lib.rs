//! `xinhub-bench`: what the hub costs, measured on the real programs over mutual TLS.
//!
//! Promises: the hub measured is the `xinhubd` beside this program, as it ships; what is compared is run in turns, in
//! several rounds, and told with its spread; every figure goes out as JSON too, so that a report can be written from it.

mod ahead;
mod ask;
mod batch;
mod broadcast;
mod compare;
mod details;
mod disk;
mod echo;
mod ending;
mod expiry;
mod import;
mod instructions;
mod load;
mod lookup;
mod machine;
mod mixed;
mod peers;
mod plot;
mod policy;
mod process;
mod publish;
mod push;
mod reload;
mod replica;
mod report;
mod side;
mod snapshot;
mod start;
mod stream;
mod suite;
mod tls;
mod world;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::report::Run;
use crate::world::Place;

/// Whatever went wrong ends the run; there is nothing to recover.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "xinhub-bench", version, about = "What the hub costs, measured on the real programs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Let servers and load share all processors; if not given, each has its own half
    #[arg(long, global = true)]
    shared: bool,
}

#[derive(Subcommand)]
enum Command {
    #[command(flatten)]
    Measure(Measure),
    /// Write RESULTS.md and its plots from the JSON of earlier runs
    Report {
        /// Files that --json has written
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What else a reader should know of the runs, such as what the machine did meanwhile
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// Where to
        #[arg(long, value_name = "DIR", default_value = "bench")]
        into: PathBuf,
    },
    /// The other side of `lookup`: an empty service on the hub's own accept loop and TLS
    #[command(hide = true)]
    EchoServer {
        /// A hub's configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// The hub that `expiry` measures: `xinhubd serve`, but for its clocks, which are ahead of the machine's
    #[command(hide = true)]
    HubAhead {
        /// Its configuration
        #[arg(long)]
        config: PathBuf,
        /// By how much, both of them
        #[arg(long)]
        ahead_ms: u64,
    },
    /// The other side of `push`: a bare broadcast on the same
    #[command(hide = true)]
    BroadcastServer {
        /// A hub's configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// What `start` tells of the detail store: how much memory it takes alone
    #[command(hide = true)]
    DetailsAlone {
        /// Of a hub that doesn't run
        #[arg(long)]
        data_dir: PathBuf,
        /// How many it has
        #[arg(long)]
        listings: u64,
    },
    /// The other side of `lookup` too: an empty service on tonic's own
    #[command(hide = true)]
    StockEchoServer {
        /// A directory with certificates
        #[arg(long)]
        pki: PathBuf,
    },
    /// The other side of `snapshot`: bytes without a meaning
    #[command(hide = true)]
    RawServer {
        /// A directory with certificates
        #[arg(long)]
        pki: PathBuf,
    },
}

/// What takes figures.
#[derive(Subcommand)]
enum Measure {
    /// Checks per second, their latency and the server's CPU time, next to the empty RPC, etcd, PostgreSQL and Redis
    Lookup(lookup::Args),
    /// A thousand checks in one call, next to Redis
    Batch(batch::Args),
    /// Instructions of a check, counted by callgrind (Debian's package valgrind), next to the empty RPC
    Instructions(instructions::Args),
    /// Checks over a stream, next to a call for each
    Stream(stream::Args),
    /// A court lists and lifts, next to a sync of the disk
    Publish(publish::Args),
    /// Time and memory to import rows and to start on them, and bytes on disk; then rows in next to sealing and syncing alone, and PostgreSQL
    Import(import::Args),
    /// Time from start to first answer, and what a hub at rest holds
    Start(start::Args),
    /// Bytes a second of a snapshot, next to raw bytes over TLS, and the time to a replica that answers
    Snapshot(snapshot::Args),
    /// Time and bytes to fill a replica of either reach, and the time of a look-up in it
    Replica(replica::Args),
    /// From a court's acknowledgement of a lift to its receipt by many subscribers, next to a bare broadcast
    Push(push::Args),
    /// Latency of checks while everything else goes on
    Mixed(mixed::Args),
    /// The terms of very many listings end at one midnight: how long that takes, and who waits meanwhile
    Expiry(expiry::Args),
    /// Latency of checks while the policy is reloaded again and again, and the time until the new one answers
    Reload(reload::Args),
    /// All of these on one world, and a line of JSON with what counts
    Suite(suite::Args),
}

/// What most commands are told.
#[derive(Clone, clap::Args)]
struct Common {
    /// Listings on the hub
    #[arg(long, default_value_t = 1_000_000)]
    rows: u64,
    /// How long each run takes, in seconds
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// In each round everything is run once, in turns
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u16).range(3..))]
    rounds: u16,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// What `xinhub-bench` does. `xinhub-bench-mimalloc` does the same on the allocator that `xinhubd` has: what the hub is compared
/// with on equal terms is served by it.
pub fn main() -> ExitCode {
    let Cli { command, shared } = Cli::parse();
    let done = match command {
        Command::Report { files, note, into } => report::run(&files, note.as_deref(), &into),
        Command::EchoServer { config } => in_usual_runtime(echo::serve_tuned(config)),
        Command::HubAhead { config, ahead_ms } => in_usual_runtime(ahead::serve(config, ahead_ms)),
        Command::BroadcastServer { config } => in_usual_runtime(broadcast::serve(config)),
        Command::DetailsAlone { data_dir, listings } => details::measure(&data_dir, listings),
        Command::StockEchoServer { pki } => in_usual_runtime(echo::serve_out_of_the_box(&pki)),
        Command::RawServer { pki } => in_usual_runtime(snapshot::raw_server(&pki)),
        Command::Measure(what) => process::split_processors(shared).and_then(|()| measure(what)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("xinhub-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// On a runtime for the load: threads that hand work to each other on one processor would only cost it.
fn measure(what: Measure) -> Result<()> {
    let mut runtime = match process::load_processors() {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    runtime.enable_all().build()?.block_on(async {
        match what {
            Measure::Lookup(args) => lookup::run(args).await,
            Measure::Batch(args) => batch::run(args).await,
            Measure::Instructions(args) => instructions::run(args).await,
            Measure::Stream(args) => stream::run(args).await,
            Measure::Publish(args) => publish::run(args).await,
            Measure::Import(args) => import::run(args).await,
            Measure::Start(args) => start::run(args).await,
            Measure::Snapshot(args) => snapshot::run(args).await,
            Measure::Replica(args) => replica::run(args).await,
            Measure::Push(args) => push::run(args).await,
            Measure::Mixed(args) => mixed::run(args).await,
            Measure::Expiry(args) => expiry::run(args).await,
            Measure::Reload(args) => reload::run(args).await,
            Measure::Suite(args) => suite::run(args).await,
        }
    })
}

/// As tokio's own macro makes it, and `xinhubd` its own.
fn in_usual_runtime(server: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(server)
}

/// Tells whoever watches. A closed stream is no reason to fail.
fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where the figures go besides the tables.
#[derive(Clone, clap::Args)]
struct Output {
    /// Write the figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    fn write(&self, run: &Run) -> Result<()> {
        writeln!(std::io::stdout(), "{}\n\n{}", run.machine.text(), run.text().trim_end())?;
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(run)? + "\n")?;
        }
        Ok(())
    }
}
