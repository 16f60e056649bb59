//! `xinhub imports`: files that wait for a second person, where two people release, and complete lists that wait for whoever confirms
//! what they take off the list. What is approved or confirmed is what was shown.

use clap::{Args, Subcommand};
use xinhub_client::v1;

use crate::args::{ConnectArgs, GlobalArgs, RequestArgs};
use crate::exit::{Exit, Failure};
use crate::import::{Faults, FaultsArgs, follow, show};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::{Session, confirmed};
use crate::{shapes, words};

/// Files of listings or relations that wait for their release by a second clerk, or for their confirmation
#[derive(Debug, Args)]
pub(crate) struct ImportsArgs {
    #[command(subcommand)]
    command: ImportsCommand,
}

#[derive(Debug, Subcommand)]
enum ImportsCommand {
    /// Show the files that wait
    List(ListArgs),
    /// Show what a file would change, as the listings are now
    Preview(PreviewArgs),
    /// Show what a file would change, and release it; an authorised signer, and another clerk than who sent it
    ///
    /// Goes on with --yes, or with a confirmation at a terminal; without either nothing is approved. Called again after a
    /// break, it goes on.
    Approve(ApproveArgs),
    /// Show what a complete list would change, and confirm it: whom it does not name is lifted, and what it brings is taken
    ///
    /// Goes on with --gone, or with a confirmation at a terminal; without either nothing is lifted. Additions over the hub's share
    /// wait for `imports approve` afterwards. Called again after a break, it goes on.
    Confirm(ConfirmArgs),
    /// Refuse a file: it goes
    Reject(RejectArgs),
}

#[derive(Debug, Args)]
struct ListArgs {
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
struct PreviewArgs {
    /// The number under which the file waits
    import: u64,
    #[command(flatten)]
    faults: FaultsArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
struct ApproveArgs {
    /// The number under which the file waits
    import: u64,
    /// Approve what is shown without being asked
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    faults: FaultsArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
struct ConfirmArgs {
    /// The number under which the list waits
    import: u64,
    /// Why those are lifted whom it does not name, such as performed; where that doesn't fit, a reason is owed
    #[arg(long)]
    ground: String,
    /// Confirm without being asked, if no more than so many are lifted: the count that a preview told
    #[arg(long, value_name = "COUNT")]
    gone: Option<u64>,
    #[command(flatten)]
    faults: FaultsArgs,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Args)]
struct RejectArgs {
    /// The number under which the file waits
    import: u64,
    /// Why
    #[arg(long, default_value = "")]
    note: String,
    #[command(flatten)]
    request: RequestArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: ImportsArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    match args.command {
        ImportsCommand::List(args) => list(&Session::resolve(global, &args.connect)?, out).await,
        ImportsCommand::Preview(args) => preview(&args, &Session::resolve(global, &args.connect)?, out).await,
        ImportsCommand::Approve(args) => approve(&args, &Session::resolve(global, &args.connect)?, out).await,
        ImportsCommand::Confirm(args) => confirm(&args, &Session::resolve(global, &args.connect)?, out).await,
        ImportsCommand::Reject(args) => reject(args, global, out).await,
    }
}

async fn list(session: &Session, out: &mut Out) -> Result<Exit, Failure> {
    let found = session.connect().await?.registry().list_imports(v1::ListImportsRequest {}).await?.imports;
    let lang = out.lang;
    if out.format == Format::Json {
        found.into_iter().try_for_each(|one| out.json(&shapes::StagedImport::from(one)))?;
    } else if !found.is_empty() {
        let header = match lang {
            Lang::En => [
                "import",
                "state",
                "file",
                "rows",
                "added",
                "amended",
                "gone",
                "faults",
                "sent by",
                "signed by",
                "until",
            ],
            Lang::Zh => {
                ["编号", "状态", "内容", "行数", "新增", "更正", "应解除", "错误", "报送人", "签发人", "截止日"]
            }
        };
        out.table(&header, found.iter().map(|one| row(one, lang)))?;
    }
    Ok(Exit::Success)
}

fn row(one: &v1::StagedImport, lang: Lang) -> Vec<String> {
    vec![
        one.import.to_string(),
        words::import_state(one.state(), lang).to_owned(),
        words::import_file(one.file(), lang).to_owned(),
        one.rows.to_string(),
        one.added.to_string(),
        one.amended.to_string(),
        one.list.map(|list| list.gone.to_string()).unwrap_or_default(),
        one.faults.to_string(),
        one.sender.clone().unwrap_or_default().staff_id,
        one.signer.clone(),
        one.release_by.clone(),
    ]
}

async fn preview(args: &PreviewArgs, session: &Session, out: &mut Out) -> Result<Exit, Failure> {
    let mut faults = Faults::open(&args.faults)?;
    let hub = session.connect().await?;
    let told = hub.registry().preview_import(v1::PreviewImportRequest { import: args.import }).await?;
    let heard = follow(told, &mut faults).await?;
    faults.finish()?;
    show(heard, out)
}

async fn approve(args: &ApproveArgs, session: &Session, out: &mut Out) -> Result<Exit, Failure> {
    // Who stands behind it is known before anything is shown.
    let mutation = session.head(&args.request, None)?;
    let hub = session.connect().await?;
    let mut faults = Faults::open(&args.faults)?;
    let told = hub.registry().preview_import(v1::PreviewImportRequest { import: args.import }).await?;
    let foreseen = follow(told, &mut faults).await?;
    faults.finish()?;
    let lang = out.lang;
    if !args.yes {
        show(foreseen, out)?;
        out.flush()?;
        let question = format!("{} {}", lang.pick("approve import", "批准导入"), args.import);
        if !confirmed(&question)? {
            let problem = format!("import {}: not approved; --yes approves what was shown", args.import);
            return Err(Failure::Usage(problem));
        }
    }
    let request = v1::ApproveImportRequest { mutation: Some(mutation), import: args.import };
    let told = hub.registry().approve_import(request).await?;
    // Faults were told already, and would be told twice.
    let heard = follow(told, &mut Faults::Nowhere).await?;
    show(heard, out)
}

async fn confirm(args: &ConfirmArgs, session: &Session, out: &mut Out) -> Result<Exit, Failure> {
    let mutation = session.head(&args.request, None)?;
    let hub = session.connect().await?;
    let mut faults = Faults::open(&args.faults)?;
    let lang = out.lang;
    let (gone, mut told_later) = match args.gone {
        Some(gone) => (gone, faults),
        None => {
            let told = hub.registry().preview_import(v1::PreviewImportRequest { import: args.import }).await?;
            let foreseen = follow(told, &mut faults).await?;
            faults.finish()?;
            let gone = foreseen.summary.list.unwrap_or_default().gone;
            show(foreseen, out)?;
            out.flush()?;
            let question = match lang {
                Lang::En => format!("lift {gone} listings and take import {}", args.import),
                Lang::Zh => format!("解除 {gone} 条名单并执行导入 {}", args.import),
            };
            if !confirmed(&question)? {
                let problem = format!("import {}: not confirmed; --gone {gone} confirms what was shown", args.import);
                return Err(Failure::Usage(problem));
            }
            (gone, Faults::Nowhere)
        }
    };
    let ground = args.ground.clone();
    let request = v1::ConfirmImportRequest { mutation: Some(mutation), import: args.import, gone, ground };
    let told = hub.registry().confirm_import(request).await?;
    let heard = follow(told, &mut told_later).await?;
    told_later.finish()?;
    show(heard, out)
}

async fn reject(args: RejectArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let session = Session::resolve(global, &args.connect)?;
    let mutation = session.head(&args.request, None)?;
    let RejectArgs { import, note, .. } = args;
    let request = v1::RejectImportRequest { mutation: Some(mutation), import, note };
    session.connect().await?.registry().reject_import(request).await?;
    let lang = out.lang;
    out.record(&shapes::Rejected { import }, || vec![(lang.pick("rejected", "已驳回"), import.to_string())])?;
    Ok(Exit::Success)
}
