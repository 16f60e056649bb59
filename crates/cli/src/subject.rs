//! `xinhub subject`: what the hub keeps of one person or organisation and who was told what, for them; and its deferral.

mod show;

use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand};
use xinhub_client::v1;
use xinhub_domain::listing::DEFERRAL_GROUNDS;

use crate::args::{ActorArgs, ConnectArgs, GlobalArgs, RequestArgs};
use crate::exit::{Exit, Failure};
use crate::inquiry::IdentityArgs;
use crate::output::Out;
use crate::session::Session;
use crate::{shapes, text};

/// For the person or organisation concerned: what the hub keeps of them, and who was told what
#[derive(Debug, Args)]
pub(crate) struct SubjectArgs {
    #[command(subcommand)]
    command: SubjectCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum SubjectCommand {
    /// Show all that concerns one subject, whose document was checked. That it was shown, and by whom, is on record
    View(ViewArgs),
    /// Keep who asked about a listing's subject out of the subject's view for a time. It is told afterwards
    ///
    /// At most 30 days, and once more by another clerk. That they are listed, and why, the subject sees all the same.
    Defer {
        /// The listing's number
        listing: u64,
        /// 个人信息保护法 art. 18: confidential_by_law; art. 35: impedes_duty
        #[arg(long, value_parser = PossibleValuesParser::new(DEFERRAL_GROUNDS))]
        ground: String,
        /// The last day, YYYY-MM-DD, at most 30 days from today
        #[arg(long, value_name = "DATE")]
        until: String,
        #[command(flatten)]
        request: RequestArgs,
    },
}

/// For whom the caller acts, and how it knows that.
#[derive(Debug, Args)]
pub(crate) struct CheckedArgs {
    #[command(flatten)]
    identity: IdentityArgs,
    /// The name as on the document. Or the second line of the identity file
    #[arg(long)]
    name: Option<String>,
    /// Which document was checked, such as "resident ID card, seen"; never its number
    #[arg(long, value_name = "TEXT")]
    document: String,
    #[command(flatten)]
    actor: ActorArgs,
}

impl CheckedArgs {
    /// Who acts is known before a file is read or standard input is waited for.
    pub(crate) fn read(&self, session: &Session) -> Result<v1::SubjectCheck, Failure> {
        let actor = Some(session.actor(&self.actor)?);
        let (identity, name) = self.identity.read()?;
        let name = self.name.clone().or(name).unwrap_or_default();
        Ok(v1::SubjectCheck { identity: Some(identity), name, document: self.document.clone(), actor })
    }
}

/// Whose view, and how far back.
#[derive(Debug, Args)]
struct ViewArgs {
    /// At most so many inquiries, newest first
    #[arg(long, value_name = "COUNT", default_value_t = 200, value_parser = clap::value_parser!(i32).range(1..=1000))]
    limit: i32,
    /// From the page before, for older inquiries
    #[arg(long, value_name = "TOKEN", default_value = "", hide_default_value = true)]
    page_token: String,
    #[command(flatten)]
    subject: CheckedArgs,
}

pub(crate) async fn run(args: SubjectArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let session = Session::resolve(global, &args.connect)?;
    match args.command {
        SubjectCommand::View(args) => view(&args, &session, out).await,
        SubjectCommand::Defer { listing, ground, until, request } => {
            let mutation = Some(session.head(&request, None)?);
            let request = v1::DeferViewRequest { mutation, listing, ground, until };
            deferred(session.connect().await?.audit().defer_view(request).await?, out)
        }
    }
}

async fn view(args: &ViewArgs, session: &Session, out: &mut Out) -> Result<Exit, Failure> {
    let subject = Some(args.subject.read(session)?);
    let (page_size, page_token) = (args.limit, args.page_token.clone());
    let request = v1::ViewSubjectRequest { subject, page_size, page_token };
    let view = session.connect().await?.audit().view_subject(request).await?;
    show::view(view, out)?;
    Ok(Exit::Success)
}

fn deferred(response: v1::DeferViewResponse, out: &mut Out) -> Result<Exit, Failure> {
    let lang = out.lang;
    if response.replayed {
        eprintln!("{}: {}", lang.pick("note", "注意"), text::replayed(lang));
    }
    let shape = shapes::Deferral::from(response);
    out.record(&shape, || {
        vec![
            (lang.pick("listing", "名单编号"), shape.listing.to_string()),
            (lang.pick("deferred until", "暂缓告知至"), shape.until.clone()),
            (lang.pick("token", "位置标记"), shape.position.as_ref().map(|at| at.token.clone()).unwrap_or_default()),
        ]
    })?;
    Ok(Exit::Success)
}
