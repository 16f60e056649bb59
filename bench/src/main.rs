//! `xinhub-bench`: what the hub costs, measured on the real programs over mutual TLS.
//!
//! Promises: the hub measured is the `xinhubd` beside this program, as it ships; what is compared is run in turns, in
//! several rounds, and told with its spread; every figure goes out as JSON too, so that a report can be written from it.

mod broadcast;
mod echo;
mod import;
mod load;
mod lookup;
mod process;
mod push;
mod replica;
mod report;
mod world;

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use serde::Serialize;

/// Whatever went wrong ends the run; there is nothing to recover.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Parser)]
#[command(name = "xinhub-bench", version, about = "What the hub costs, measured on the real programs")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Checks per second, their latency and the server's CPU time, next to an empty RPC
    Lookup(lookup::Args),
    /// Time and memory to import rows and to start on them, and bytes on disk
    Import(import::Args),
    /// Time and bytes to fill a replica of either reach, and the time of a look-up in it
    Replica(replica::Args),
    /// From a court's acknowledgement of a lift to its receipt by many subscribers, next to a bare broadcast
    Push(push::Args),
    /// Write a report (Markdown) from the JSON of earlier runs to standard output
    Report {
        /// Files that --json has written
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// What else a reader should know of the runs, such as what the machine did meanwhile
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
    },
    /// The other side of `lookup`: an empty service on the hub's own accept loop and TLS
    #[command(hide = true)]
    EchoServer {
        /// A hub's configuration
        #[arg(long)]
        config: PathBuf,
    },
    /// The other side of `push`: a bare broadcast on the same
    #[command(hide = true)]
    BroadcastServer {
        /// A hub's configuration
        #[arg(long)]
        config: PathBuf,
    },
}

/// How this program, and so the ones beside it, were built.
fn build() -> &'static str {
    if cfg!(debug_assertions) { "dev" } else { "release" }
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Lookup(args) => in_runtime(lookup::run(args)),
        Command::Import(args) => in_runtime(import::run(args)),
        Command::Replica(args) => in_runtime(replica::run(args)),
        Command::Push(args) => in_runtime(push::run(args)),
        Command::Report { files, note } => report::run(&files, note.as_deref()),
        Command::EchoServer { config } => in_runtime(echo::serve(config)),
        Command::BroadcastServer { config } => in_runtime(broadcast::serve(config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            note(format_args!("xinhub-bench: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// As `xinhubd` makes its own: the echo server runs on it too.
fn in_runtime(command: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(command)
}

/// Tells whoever watches. A closed stream is no reason to fail.
fn note(text: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

/// Where the figures go besides the table.
#[derive(clap::Args)]
struct Output {
    /// Write the figures as JSON to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

impl Output {
    fn write(&self, figures: &impl Serialize, table: &str) -> Result<()> {
        writeln!(std::io::stdout(), "{table}")?;
        if let Some(path) = &self.json {
            std::fs::write(path, serde_json::to_string_pretty(figures)? + "\n")?;
        }
        Ok(())
    }
}
