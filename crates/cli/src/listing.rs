//! `xinhub listing`, `relation` and `get`: what a court does with its own listings.

mod approve;
mod change;
mod show;

use clap::{Args, Subcommand};
use xinhub_client::v1;

use crate::args::{ConnectArgs, CountersignedArgs, GlobalArgs, MutationArgs};
use crate::codes;
use crate::content::{ContentArg, RelationFile};
use crate::exit::{Exit, Failure};
use crate::output::Out;
use crate::session::Session;
use crate::template::Template;

pub(crate) use approve::ApproveArgs;
use change::{ChangeCommand, ReleaseCommand};
pub(crate) use change::{NoticeArgs, ProposeArgs};
pub(crate) use show::GetArgs;

/// Notice, propose, publish, correct and end listings of your own court
#[derive(Debug, Args)]
pub(crate) struct ListingArgs {
    #[command(subcommand)]
    command: ListingCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum ListingCommand {
    /// Print an empty file of content, with what belongs where
    Template {
        /// What it is for
        #[arg(value_enum, default_value_t = Template::Listing)]
        what: Template,
    },
    /// List the court's listings, by number
    List {
        /// Only those in this state. May be given several times
        #[arg(long, value_parser = codes::parser::<v1::ListingState>())]
        state: Vec<v1::ListingState>,
        /// At most so many; all if not given
        #[arg(long, value_name = "COUNT")]
        limit: Option<u64>,
    },
    Approve(ApproveArgs),
    #[command(flatten)]
    Release(ReleaseCommand),
    #[command(flatten)]
    Change(ChangeCommand),
}

/// One of the clerk's daily acts, called without `listing`.
#[derive(Debug, Args)]
pub(crate) struct ShortArgs<T: Args> {
    #[command(flatten)]
    args: T,
    #[command(flatten)]
    connect: ConnectArgs,
}

impl From<ShortArgs<NoticeArgs>> for ListingArgs {
    fn from(short: ShortArgs<NoticeArgs>) -> Self {
        Self { command: ListingCommand::Release(ReleaseCommand::Notice(short.args)), connect: short.connect }
    }
}

impl From<ShortArgs<ProposeArgs>> for ListingArgs {
    fn from(short: ShortArgs<ProposeArgs>) -> Self {
        Self { command: ListingCommand::Release(ReleaseCommand::Propose(short.args)), connect: short.connect }
    }
}

impl From<ShortArgs<ApproveArgs>> for ListingArgs {
    fn from(short: ShortArgs<ApproveArgs>) -> Self {
        Self { command: ListingCommand::Approve(short.args), connect: short.connect }
    }
}

/// Set and end relations of listed organisations
#[derive(Debug, Args)]
pub(crate) struct RelationArgs {
    #[command(subcommand)]
    command: RelationCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum RelationCommand {
    /// Name a related person of a listed organisation, on evidence
    Set {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        content: ContentArg,
        #[command(flatten)]
        mutation: CountersignedArgs,
    },
    /// End a relation, on evidence such as a change of legal representative. A lift
    End {
        /// The listing's number
        listing: u64,
        /// The relation's number
        relation: u64,
        /// The document that shows it
        #[arg(long, value_name = "NUMBER")]
        basis_document: String,
        #[command(flatten)]
        mutation: MutationArgs,
    },
}

pub(crate) async fn run(args: ListingArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    if let ListingCommand::Template { what } = args.command {
        out.text(what.text().trim_end())?;
        return Ok(Exit::Success);
    }
    let session = Session::resolve(global, &args.connect)?;
    let outcome = match args.command {
        ListingCommand::Template { .. } => None,
        ListingCommand::List { state, limit } => {
            show::list(&session, state, limit, out).await?;
            return Ok(Exit::Success);
        }
        ListingCommand::Approve(args) => return approve::run(args, &session, out).await,
        ListingCommand::Release(command) => change::release(command, &session).await?,
        ListingCommand::Change(command) => change::change(command, &session).await?,
    };
    show::outcome(outcome, out)
}

pub(crate) async fn run_relation(args: RelationArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let session = Session::resolve(global, &args.connect)?;
    let outcome = match args.command {
        RelationCommand::Set { listing, content, mutation } => {
            let content = content.read::<RelationFile, v1::RelationContent>()?;
            let mutation = Some(session.countersigned(&mutation)?);
            let request = v1::SetRelationRequest { mutation, listing, content: Some(content) };
            session.connect().await?.registry().set_relation(request).await?.outcome
        }
        RelationCommand::End { listing, relation, basis_document, mutation } => {
            let mutation = Some(session.mutation(&mutation)?);
            let request = v1::EndRelationRequest { mutation, listing, relation, basis_document };
            session.connect().await?.registry().end_relation(request).await?.outcome
        }
    };
    show::outcome(outcome, out)
}

pub(crate) async fn get(args: GetArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    show::get(args, global, out).await
}
