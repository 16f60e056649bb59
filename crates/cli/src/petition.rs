//! `xinhub objection`, `application` and `complaint`: three kinds of petition, one life, one implementation.

mod act;
mod file;
mod show;

use clap::{Args, Subcommand};
use xinhub_client::v1::{PetitionKind, PetitionState};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::codes;
use crate::exit::{Exit, Failure};
use crate::output::Out;
use crate::session::Session;

use act::{Act, ApplicationFile, DecideArgs, FileArgs, FindArgs, ReconsiderArgs, RefuseArgs, ServeArgs, WithdrawArgs};
pub(crate) use file::PetitionFile;
pub(crate) use show::table;

/// Take in and decide objections: should not be listed, data wrong, should be deleted
///
/// Nothing is stayed meanwhile. A late objection is taken and marked, never refused.
#[derive(Debug, Args)]
pub(crate) struct ObjectionArgs {
    #[command(subcommand)]
    command: ObjectionCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Take in and decide creditors' applications to list a debtor
#[derive(Debug, Args)]
pub(crate) struct ApplicationArgs {
    #[command(subcommand)]
    command: ApplicationCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Take in and decide complaints that somebody still restricts after a lift
#[derive(Debug, Args)]
pub(crate) struct ComplaintArgs {
    #[command(subcommand)]
    command: ComplaintCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum ObjectionCommand {
    /// Take an objection in; the court's clock begins
    File(FileArgs),
    Refuse(RefuseArgs),
    /// Decide an objection; upheld, it frees in the same commit
    Decide(DecideArgs),
    Serve(ServeArgs),
    Reconsider(ReconsiderArgs),
    /// Decide as the court above; upheld, it frees in the same commit
    DecideReconsideration(DecideArgs),
    Withdraw(WithdrawArgs),
    #[command(flatten)]
    Read(ReadCommand),
}

#[derive(Debug, Subcommand)]
enum ApplicationCommand {
    /// Take an application in; the court's clock begins
    File(ApplicationFile),
    Refuse(RefuseArgs),
    /// Decide an application
    Decide(FindArgs),
    Serve(ServeArgs),
    Withdraw(WithdrawArgs),
    #[command(flatten)]
    Read(ReadCommand),
}

#[derive(Debug, Subcommand)]
enum ComplaintCommand {
    /// Take a complaint in; the clock of whoever it is against begins
    File(FileArgs),
    /// Answer a complaint
    Decide(FindArgs),
    Withdraw(WithdrawArgs),
    #[command(flatten)]
    Read(ReadCommand),
}

#[derive(Debug, Subcommand)]
enum ReadCommand {
    /// Print an empty file of content, with what belongs where
    Template,
    /// Show one in full, with what happened to it
    Show {
        /// The petition's number
        petition: u64,
    },
    /// List those that this client may read, newest first
    List {
        /// Only those in this state. May be given several times
        #[arg(long, value_parser = codes::parser::<PetitionState>())]
        state: Vec<PetitionState>,
        /// Only those about this listing
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        listing: u64,
        /// At most so many; all if not given
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
    },
}

/// What was asked for: reading, or one act.
enum Asked {
    Read(ReadCommand),
    Act(Box<Act>),
}

pub(crate) async fn objection(args: ObjectionArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let asked = match args.command {
        ObjectionCommand::File(args) => Asked::Act(Box::new(Act::File(args))),
        ObjectionCommand::Refuse(args) => Asked::Act(Box::new(Act::Refuse(args))),
        ObjectionCommand::Decide(args) => Asked::Act(Box::new(Act::Decide(args))),
        ObjectionCommand::Serve(args) => Asked::Act(Box::new(Act::Serve(args))),
        ObjectionCommand::Reconsider(args) => Asked::Act(Box::new(Act::Reconsider(args))),
        ObjectionCommand::DecideReconsideration(args) => Asked::Act(Box::new(Act::DecideReconsideration(args))),
        ObjectionCommand::Withdraw(args) => Asked::Act(Box::new(Act::Withdraw(args))),
        ObjectionCommand::Read(command) => Asked::Read(command),
    };
    run(PetitionKind::Objection, asked, &args.connect, global, out).await
}

pub(crate) async fn application(args: ApplicationArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let asked = match args.command {
        ApplicationCommand::File(args) => Asked::Act(Box::new(Act::Apply(args))),
        ApplicationCommand::Refuse(args) => Asked::Act(Box::new(Act::Refuse(args))),
        ApplicationCommand::Decide(args) => Asked::Act(Box::new(Act::Find(args))),
        ApplicationCommand::Serve(args) => Asked::Act(Box::new(Act::Serve(args))),
        ApplicationCommand::Withdraw(args) => Asked::Act(Box::new(Act::Withdraw(args))),
        ApplicationCommand::Read(command) => Asked::Read(command),
    };
    run(PetitionKind::Application, asked, &args.connect, global, out).await
}

pub(crate) async fn complaint(args: ComplaintArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let asked = match args.command {
        ComplaintCommand::File(args) => Asked::Act(Box::new(Act::File(args))),
        ComplaintCommand::Decide(args) => Asked::Act(Box::new(Act::Find(args))),
        ComplaintCommand::Withdraw(args) => Asked::Act(Box::new(Act::Withdraw(args))),
        ComplaintCommand::Read(command) => Asked::Read(command),
    };
    run(PetitionKind::Complaint, asked, &args.connect, global, out).await
}

async fn run(
    kind: PetitionKind,
    asked: Asked,
    connect: &ConnectArgs,
    global: &GlobalArgs,
    out: &mut Out,
) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    if matches!(asked, Asked::Read(ReadCommand::Template)) {
        out.text(file::template(kind).trim_end())?;
        return Ok(Exit::Success);
    }
    let session = Session::resolve(global, connect)?;
    match asked {
        Asked::Act(act) => show::outcome(act::run(*act, kind, &session).await?, out),
        Asked::Read(ReadCommand::Template) => Ok(Exit::Success),
        Asked::Read(ReadCommand::Show { petition }) => show::show(&session, petition, out).await,
        Asked::Read(ReadCommand::List { state, listing, limit }) => {
            show::list(&session, show::Filter { kind, states: state, listing, limit }, out).await
        }
    }
}
