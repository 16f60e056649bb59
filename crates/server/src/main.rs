//! `xinhubd`: makes, checks and runs a hub.
//!
//! Exit codes: 0 all is well; 1 `check-config` or `fsck` found something; 2 wrong usage; 3 the hub could not start, or
//! `init` could not finish; 4 journal or audit log failed while the hub ran: start it again, and it recovers.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread::available_parallelism;

use clap::{Parser, Subcommand};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};
use xinhub_ledger::background;
use xinhub_ledger::clock::{Clock, SystemClock};
use xinhub_ledger::fsck;
use xinhub_ledger::keys::Keyring;
use xinhub_server::config::Settings;
use xinhub_server::logging;
use xinhub_server::run::{self, Server};

/// Rows of an import are made by one thread and freed by another, answers likewise: with the C library's allocator a third of the
/// time of both went into that.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FOUND: u8 = 1;
const NOT_STARTED: u8 = 3;
const FAILED: u8 = 4;

/// The hub for judgment-defaulter listings: courts publish and lift, those entitled ask.
#[derive(Parser)]
#[command(name = "xinhubd", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 all is well; 1 check-config or fsck found something; 2 wrong usage; \
                        3 the hub could not start; 4 journal or audit log failed: start again to recover.")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes keys, audit log and an empty ledger. Never touches a hub that is there already.
    Init(Config),
    /// Serves until SIGTERM or SIGINT. SIGHUP reads policy, catalogue, certificates and revocation lists again.
    /// SIGUSR1 accepts the wall clock after a jump (see the alarm `clock_unsure`).
    Serve(Config),
    /// Reads everything that a start would read, and names every fault with file, key and fix.
    CheckConfig(Config),
    /// Checks journal, resident state and detail store against each other, and says what differs. The hub must not run.
    Fsck {
        #[command(flatten)]
        config: Config,
        /// The data directory; without it, the configuration's.
        dir: Option<PathBuf>,
        /// The keys; without it, the configuration's.
        #[arg(long, value_name = "DIR")]
        keys: Option<PathBuf>,
    },
}

#[derive(clap::Args)]
struct Config {
    /// The hub's configuration.
    #[arg(long, value_name = "PATH", default_value = "/etc/xinhub/hub.toml")]
    config: PathBuf,
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Init(Config { config }) => init(&config),
        Command::Serve(Config { config }) => serve(&config),
        Command::CheckConfig(Config { config }) => check_config(&config),
        Command::Fsck { config: Config { config }, dir, keys } => fsck(&config, dir, keys),
    }
}

/// A line for whoever typed the command. A closed stream is no reason to fail.
fn say(to: &mut dyn Write, text: impl std::fmt::Display) {
    let _ = writeln!(to, "{text}");
}

fn fault(text: impl std::fmt::Display, code: u8) -> ExitCode {
    say(&mut std::io::stderr(), format_args!("xinhubd: {text}"));
    ExitCode::from(code)
}

fn init(config: &Path) -> ExitCode {
    let done = Settings::load(config).map_err(run::StartError::from).and_then(|settings| {
        run::init(&settings)?;
        Ok(settings)
    });
    match done {
        Ok(settings) => {
            say(&mut std::io::stdout(), format_args!("made an empty hub in {}", settings.ledger.data_dir.display()));
            say(
                &mut std::io::stdout(),
                format_args!("its keys lie in {}: back them up apart", settings.keys_dir.display()),
            );
            ExitCode::SUCCESS
        }
        Err(error) => fault(error, NOT_STARTED),
    }
}

fn check_config(config: &Path) -> ExitCode {
    match run::check_config(config, SystemClock.wall()) {
        Ok(warnings) => {
            for warning in warnings {
                say(&mut std::io::stderr(), format_args!("warning: {warning}"));
            }
            say(&mut std::io::stdout(), format_args!("{}: all is well", config.display()));
            ExitCode::SUCCESS
        }
        Err(problems) => {
            for problem in problems {
                say(&mut std::io::stderr(), problem);
            }
            ExitCode::from(FOUND)
        }
    }
}

fn fsck(config: &Path, dir: Option<PathBuf>, keys: Option<PathBuf>) -> ExitCode {
    let (dir, keys) = match (dir, keys) {
        (Some(dir), Some(keys)) => (dir, keys),
        (dir, keys) => match Settings::load(config) {
            Ok(settings) => (dir.unwrap_or(settings.ledger.data_dir), keys.unwrap_or(settings.keys_dir)),
            Err(error) => return fault(error, NOT_STARTED),
        },
    };
    let keyring = match Keyring::load(&keys) {
        Ok(keyring) => Arc::new(keyring),
        Err(error) => return fault(error, NOT_STARTED),
    };
    let report = fsck::run(&dir, keyring);
    say(&mut std::io::stdout(), report.to_string().trim_end());
    match (report.refused(), report.is_clean()) {
        (Some(_), _) => ExitCode::from(NOT_STARTED),
        (None, true) => ExitCode::SUCCESS,
        (None, false) => ExitCode::from(FOUND),
    }
}

fn serve(config: &Path) -> ExitCode {
    let settings = match Settings::load(config) {
        Ok(settings) => settings,
        Err(error) => return fault(error, NOT_STARTED),
    };
    if let Err(error) = logging::start(&settings.log) {
        return fault(format_args!("log: {error}"), NOT_STARTED);
    }
    let runtime = match runtime(settings.worker_threads) {
        Ok(runtime) => runtime,
        Err(error) => return fault(format_args!("threads: {error}"), NOT_STARTED),
    };
    let code = runtime.block_on(until_stopped(settings));
    // All that was acknowledged is durable. A snapshot for replicas that is being made, minutes of work over ten million listings, is
    // begun anew by the next start, and not waited for.
    runtime.shutdown_background();
    code
}

/// A runtime of as many threads that answer, one for each processor if nobody says how many.
fn runtime(threads: Option<usize>) -> std::io::Result<Runtime> {
    const ANSWERING: &str = "answering";
    let threads = threads.or_else(|| available_parallelism().ok().map(usize::from)).unwrap_or(1);
    let named = AtomicUsize::new(0);
    // Those that answer are begun first, all of them; the others are for what would hold them up.
    let name = move || if named.fetch_add(1, Relaxed) < threads { ANSWERING } else { "blocking" }.to_owned();
    let begun = || {
        if std::thread::current().name() == Some(ANSWERING) {
            background::counts_as_answering();
        }
    };
    Builder::new_multi_thread().enable_all().worker_threads(threads).thread_name_fn(name).on_thread_start(begun).build()
}

async fn until_stopped(settings: Settings) -> ExitCode {
    let signals = [SignalKind::hangup(), SignalKind::user_defined1(), SignalKind::terminate(), SignalKind::interrupt()];
    let [Ok(mut hangup), Ok(mut accept_clock), Ok(mut terminate), Ok(mut interrupt)] = signals.map(signal) else {
        return fault("signals can't be received", NOT_STARTED);
    };
    let server = match Server::start(settings, Arc::new(SystemClock)).await {
        Ok(server) => server,
        Err(error) => {
            tracing::error!(%error, "the hub can't start");
            return ExitCode::from(NOT_STARTED);
        }
    };
    loop {
        tokio::select! {
            Some(()) = hangup.recv() => drop(server.reload().await),
            Some(()) = accept_clock.recv() => server.accept_clock().await,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
            () = server.failed() => {
                tracing::error!("journal or audit log failed: the hub ends, and recovers at its next start");
                server.abandon();
                return ExitCode::from(FAILED);
            }
        }
    }
    server.stop().await;
    ExitCode::SUCCESS
}
