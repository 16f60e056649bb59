//! All of the command line in one place: what can be called, and what it calls.

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use serde::Serialize;
use xinhub_client::Error;

use crate::announcements::{self, AnnouncementsArgs};
use crate::args::GlobalArgs;
use crate::batch::{self, BatchArgs};
use crate::certificate::{self, CertificateArgs};
use crate::certs::{self, CertsArgs};
use crate::check::{self, CheckArgs};
use crate::codes::Code as _;
use crate::context::{self, ContextCommand};
use crate::deadlines::{self, DeadlinesArgs};
use crate::duties::{self, DutiesArgs};
use crate::exit::{self, Exit, Failure};
use crate::import::{self, ImportArgs};
use crate::imports::{self, ImportsArgs};
use crate::lang::Lang;
use crate::listing::{self, ApproveArgs, GetArgs, ListingArgs, NoticeArgs, ProposeArgs, RelationArgs, ShortArgs};
use crate::measure::{self, MeasureArgs};
use crate::output::{Format, Out};
use crate::petition::{self, ApplicationArgs, ComplaintArgs, ObjectionArgs};
use crate::replica::{self, LiftsArgs, ReplicaArgs, SyncArgs, WatchArgs};
use crate::report::{self, ReportArgs};
use crate::status::{self, StatusArgs};
use crate::subject::{self, SubjectArgs};
use crate::subscribers::{self, SubscribersArgs};
use crate::synthesize::{self, SynthesizeArgs};

/// The command line of XinHub: ask whether a person or organisation is restricted for one named purpose, and, for courts,
/// publish, correct and lift listings of judgment defaulters.
#[derive(Debug, Parser)]
#[command(name = "xinhub", version, after_long_help = exit::HELP, propagate_version = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    global: GlobalArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Ask whether one person or organisation is restricted for one purpose
    ///
    /// The verdict is the exit code: 0 CLEAR, 10 RESTRICTED, 11 CONSIDER (a person decides), 12 UNKNOWN (never a
    /// restriction). CLEAR says nothing about solvency, character or other purposes.
    Check(Box<CheckArgs>),
    Batch(BatchArgs),
    Import(ImportArgs),
    Imports(Box<ImportsArgs>),
    Listing(Box<ListingArgs>),
    /// Open a listing with its risk notice: `listing notice`
    Notice(Box<ShortArgs<NoticeArgs>>),
    /// Propose a listing for release by a second clerk: `listing propose`
    Propose(Box<ShortArgs<ProposeArgs>>),
    /// Show a proposed listing and what it becomes, and release it: `listing approve`
    Approve(Box<ShortArgs<ApproveArgs>>),
    Objection(Box<ObjectionArgs>),
    Application(Box<ApplicationArgs>),
    Complaint(Box<ComplaintArgs>),
    Measure(Box<MeasureArgs>),
    Duties(DutiesArgs),
    Deadlines(Box<DeadlinesArgs>),
    Subject(Box<SubjectArgs>),
    Certificate(Box<CertificateArgs>),
    Report(ReportArgs),
    Announcements(AnnouncementsArgs),
    Relation(RelationArgs),
    Get(GetArgs),
    Sync(SyncArgs),
    Watch(WatchArgs),
    Replica(Box<ReplicaArgs>),
    Lifts(LiftsArgs),
    Subscribers(SubscribersArgs),
    Status(StatusArgs),
    /// Name hubs and certificates once, and use them by name
    ///
    /// Contexts are kept in the file $XINHUB_CONFIG, or ~/.config/xinhub/contexts.toml. It holds paths and names, no secret.
    Context {
        #[command(subcommand)]
        command: ContextCommand,
    },
    Certs(CertsArgs),
    Synthesize(SynthesizeArgs),
    /// Print completions for a shell
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
}

/// Runs `xinhub` with these arguments, the first of which is its own name.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are data, on standard output; nothing is left to do if that is closed.
            drop(error.print());
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let format = cli.global.output;
    match dispatch(cli) {
        Ok(exit) => exit.into(),
        Err(failure) if failure.is_broken_pipe() => Exit::Success.into(),
        Err(failure) => {
            report(&failure, format);
            failure.exit().into()
        }
    }
}

fn dispatch(cli: Cli) -> Result<Exit, Failure> {
    let global = &cli.global;
    let mut out = Out::stdout(global.output, global.lang.unwrap_or_else(Lang::of_environment));
    let exit = match cli.command {
        Command::Check(args) => in_runtime(check::run(*args, global, &mut out)),
        Command::Batch(args) => in_runtime(batch::run(args, global, &mut out)),
        Command::Import(args) => in_runtime(import::run(args, global, &mut out)),
        Command::Imports(args) => in_runtime(imports::run(*args, global, &mut out)),
        Command::Listing(args) => in_runtime(listing::run(*args, global, &mut out)),
        Command::Notice(args) => in_runtime(listing::run((*args).into(), global, &mut out)),
        Command::Propose(args) => in_runtime(listing::run((*args).into(), global, &mut out)),
        Command::Approve(args) => in_runtime(listing::run((*args).into(), global, &mut out)),
        Command::Objection(args) => in_runtime(petition::objection(*args, global, &mut out)),
        Command::Application(args) => in_runtime(petition::application(*args, global, &mut out)),
        Command::Complaint(args) => in_runtime(petition::complaint(*args, global, &mut out)),
        Command::Measure(args) => in_runtime(measure::run(*args, global, &mut out)),
        Command::Duties(args) => in_runtime(duties::run(args, global, &mut out)),
        Command::Deadlines(args) => in_runtime(deadlines::run(*args, global, &mut out)),
        Command::Subject(args) => in_runtime(subject::run(*args, global, &mut out)),
        Command::Certificate(args) => in_runtime(certificate::run(*args, global, &mut out)),
        Command::Report(args) => in_runtime(report::run(args, global, &mut out)),
        Command::Announcements(args) => in_runtime(announcements::run(args, global, &mut out)),
        Command::Relation(args) => in_runtime(listing::run_relation(args, global, &mut out)),
        Command::Get(args) => in_runtime(listing::get(args, global, &mut out)),
        Command::Sync(args) => in_runtime(replica::sync(args, global, &mut out)),
        Command::Watch(args) => in_runtime(replica::watch(args, global, &mut out)),
        Command::Replica(args) => in_runtime(replica::run(*args, global, &mut out)),
        Command::Lifts(args) => in_runtime(replica::lifts(args, global, &mut out)),
        Command::Subscribers(args) => in_runtime(subscribers::run(args, global, &mut out)),
        Command::Status(args) => in_runtime(status::run(args, global, &mut out)),
        Command::Context { command } => context::run(command, &mut out),
        Command::Certs(args) => certs::run(args).map(|()| Exit::Success).map_err(Failure::from),
        Command::Synthesize(args) => synthesize::run(args, &mut out),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "xinhub", &mut out.writer());
            Ok(Exit::Success)
        }
    }?;
    out.flush()?;
    Ok(exit)
}

/// One thread is enough for one command.
fn in_runtime(command: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Failure::io("starting"))?;
    let done = runtime.block_on(command);
    // A read of standard input may still be waiting on its thread; nobody waits for it.
    runtime.shutdown_background();
    done
}

/// A failure as JSON shows it.
#[derive(Serialize)]
struct Told<'a> {
    error: ToldError<'a>,
}

#[derive(Serialize)]
struct ToldError<'a> {
    exit: u8,
    code: Option<String>,
    reason: Option<&'static str>,
    message: String,
    fields: Vec<ToldField<'a>>,
    retry_after_ms: Option<u64>,
    request_id: Option<&'a str>,
}

#[derive(Serialize)]
struct ToldField<'a> {
    field: &'a str,
    problem: &'a str,
}

/// Tells a failure on standard error: in words, or as one JSON object where output is JSON.
fn report(failure: &Failure, format: Format) {
    let hub = match failure {
        Failure::Hub(error) => Some(error),
        Failure::Usage(_) | Failure::Config(_) | Failure::Io { .. } | Failure::Certs(_) | Failure::Synthesize(_) => {
            None
        }
    };
    if format == Format::Json {
        // Strings, numbers and lists of them always serialise.
        let told = serde_json::to_string(&Told { error: told(failure, hub) }).unwrap_or_default();
        eprintln!("{told}");
        return;
    }
    let fields = hub.map(Error::fields).unwrap_or_default();
    // The message repeats the fields; with several of them a list reads better.
    let message = if fields.len() > 1 { format!("{} fields are at fault", fields.len()) } else { failure.to_string() };
    let refusal = hub.and_then(Error::reason).zip(hub);
    match refusal {
        Some((reason, error)) => eprintln!("xinhub: {message} ({}, {})", reason.label(), code_of(error)),
        None => eprintln!("xinhub: {message}"),
    }
    for fault in fields.iter().filter(|_| fields.len() > 1) {
        eprintln!("  {}: {}", fault.field, fault.description);
    }
    if let Some(after) = hub.and_then(Error::retry_after) {
        eprintln!("  try again in {:.1} s", after.as_secs_f64());
    }
}

fn told<'a>(failure: &Failure, hub: Option<&'a Error>) -> ToldError<'a> {
    let refusal = match hub {
        Some(Error::Hub(refusal)) => Some(refusal),
        _ => None,
    };
    let fields = hub.map(Error::fields).unwrap_or_default().iter();
    ToldError {
        exit: failure.exit().code(),
        code: refusal.is_some().then(|| hub.map(code_of)).flatten(),
        reason: hub.and_then(Error::reason).map(|reason| reason.label()),
        message: failure.to_string(),
        fields: fields.map(|fault| ToldField { field: &fault.field, problem: &fault.description }).collect(),
        retry_after_ms: hub.and_then(Error::retry_after).and_then(|after| u64::try_from(after.as_millis()).ok()),
        request_id: refusal.and_then(|refusal| refusal.request_id.as_deref()),
    }
}

/// The code as gRPC writes it: `NOT_FOUND`, which tonic calls `NotFound`.
fn code_of(error: &Error) -> String {
    let mut told = String::new();
    for c in format!("{:?}", error.code()).chars() {
        if c.is_ascii_uppercase() && !told.is_empty() {
            told.push('_');
        }
        told.push(c.to_ascii_uppercase());
    }
    told
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
