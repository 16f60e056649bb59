//! Groups of arguments that several commands share.

use std::path::PathBuf;

use clap::Args;

use crate::lang::Lang;
use crate::output::Format;

/// Arguments of every command.
#[derive(Debug, Args)]
pub(crate) struct GlobalArgs {
    /// The context to use in place of the current one
    #[arg(long, global = true, value_name = "NAME", help_heading = "Global options")]
    pub(crate) context: Option<String>,
    /// How data is written
    #[arg(long, global = true, value_enum, default_value_t = Format::Table, help_heading = "Global options")]
    pub(crate) output: Format,
    /// The language of explanations; that of the locale if not given
    #[arg(long, global = true, value_enum, help_heading = "Global options")]
    pub(crate) lang: Option<Lang>,
}

/// Where the hub is and who calls; each overrides the context.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct ConnectArgs {
    /// The hub
    #[arg(long, global = true, value_name = "https://HOST:PORT")]
    pub(crate) endpoint: Option<String>,
    /// PEM file of the CAs that the hub's certificate may chain to
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) ca: Option<PathBuf>,
    /// PEM file of the client's certificate and its intermediates
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) cert: Option<PathBuf>,
    /// PEM file of the certificate's private key
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The name that the hub's certificate carries, where it isn't the endpoint's host
    #[arg(long, global = true, value_name = "NAME")]
    pub(crate) server_name: Option<String>,
    /// How long to wait for an answer
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) timeout: Option<u64>,
}

/// The clerk behind a mutation; each overrides the context.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Actor")]
pub(crate) struct ActorArgs {
    /// Staff id of the clerk who stands behind it
    #[arg(long, value_name = "STAFF")]
    pub(crate) actor: Option<String>,
    /// The post that the clerk holds, such as judge
    #[arg(long, value_name = "POST")]
    pub(crate) post: Option<String>,
}

/// Who asks for a change, and under which id.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Mutation")]
pub(crate) struct RequestArgs {
    #[command(flatten)]
    pub(crate) actor: ActorArgs,
    /// A UUIDv7: given again with the same arguments, it changes nothing twice. Made, and told on standard error, if not given
    #[arg(long, value_name = "UUID")]
    pub(crate) request_id: Option<String>,
}

/// What every mutation of a listing takes.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Mutation")]
pub(crate) struct MutationArgs {
    #[command(flatten)]
    pub(crate) request: RequestArgs,
    /// The listing's etag as last read; a lift needs none
    #[arg(long, value_name = "ETAG")]
    pub(crate) etag: Option<String>,
}

/// The second person of a change. From the command line alone: kept in a context, it would name somebody who has seen nothing.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Second person")]
pub(crate) struct ApproverArgs {
    /// Staff id of a second person, one of the court's signers, who has seen this. Needed where two people release and it
    /// restricts somebody further than before
    #[arg(long, value_name = "STAFF", requires = "approver_post")]
    pub(crate) approver: Option<String>,
    /// The post that the second person holds, such as president
    #[arg(long, value_name = "POST", requires = "approver")]
    pub(crate) approver_post: Option<String>,
}

/// What a mutation takes that may restrict somebody further.
#[derive(Debug, Default, Args)]
pub(crate) struct CountersignedArgs {
    #[command(flatten)]
    pub(crate) mutation: MutationArgs,
    #[command(flatten)]
    pub(crate) approver: ApproverArgs,
}
