//! Every act on a petition: arguments in, one call, the outcome out.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use xinhub_client::v1;

use super::file::PetitionFile;
use crate::args::{ApproverArgs, RequestArgs};
use crate::content::{self, ContentArg, ContentFile};
use crate::exit::Failure;
use crate::session::{self, Session};

/// Who acts, and on which version of the petition.
#[derive(Debug, Args)]
pub(super) struct HeadArgs {
    #[command(flatten)]
    request: RequestArgs,
    /// The petition's etag as last read; what frees somebody needs none
    #[arg(long, value_name = "ETAG")]
    etag: Option<String>,
}

/// What is filed about a listing.
#[derive(Debug, Args)]
pub(super) struct FileArgs {
    /// The listing's number
    listing: u64,
    #[command(flatten)]
    content: ContentArg,
    #[command(flatten)]
    request: RequestArgs,
}

/// What is filed about a case that is not listed yet.
#[derive(Debug, Args)]
pub(super) struct ApplicationFile {
    /// The court that is asked
    #[arg(long, value_name = "ID")]
    court: String,
    #[command(flatten)]
    content: ContentArg,
    #[command(flatten)]
    request: RequestArgs,
}

/// Refuse its intake, with reasons; the party may ask the court above
#[derive(Debug, Args)]
pub(super) struct RefuseArgs {
    /// The petition's number
    petition: u64,
    /// Why, as the party reads it
    #[arg(long, value_name = "TEXT")]
    reasons: String,
    /// When the refusal was served on the party, YYYY-MM-DD; later: `serve`
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    served_on: String,
    #[command(flatten)]
    head: HeadArgs,
}

/// Record that a refusal or dismissal was served on the party: its own clock begins
#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// The petition's number
    petition: u64,
    /// When it was served, YYYY-MM-DD
    #[arg(long, value_name = "DATE")]
    served_on: String,
    #[command(flatten)]
    head: HeadArgs,
}

/// Record that the party asks the court above
#[derive(Debug, Args)]
pub(super) struct ReconsiderArgs {
    /// The petition's number
    petition: u64,
    /// Why, in the party's own words
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reasons: String,
    /// When it was received, YYYY-MM-DD; today if not given
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    received_on: String,
    #[command(flatten)]
    head: HeadArgs,
}

/// Record that the party takes it back
#[derive(Debug, Args)]
pub(super) struct WithdrawArgs {
    /// The petition's number
    petition: u64,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    reasons: String,
    #[command(flatten)]
    head: HeadArgs,
}

/// A finding that changes no listing.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("finding").required(true)))]
pub(super) struct FindArgs {
    /// The petition's number
    petition: u64,
    /// It is well founded
    #[arg(long, group = "finding")]
    upheld: bool,
    /// It is not
    #[arg(long, group = "finding")]
    dismissed: bool,
    /// Why, as the party reads it
    #[arg(long, value_name = "TEXT")]
    reasons: String,
    /// When the finding was served on the party, YYYY-MM-DD; later: `serve`
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    served_on: String,
    #[command(flatten)]
    head: HeadArgs,
}

/// A finding on an objection, and what it does to the listing. An upheld one on a listing that has ended has nothing to redress,
/// so that whether one is missing is the hub's to say.
#[derive(Debug, Args)]
pub(super) struct DecideArgs {
    #[command(flatten)]
    find: FindArgs,
    #[command(flatten)]
    redress: RedressArgs,
    #[command(flatten)]
    approver: ApproverArgs,
}

/// What an upheld objection does, in the same commit.
#[derive(Debug, Args)]
#[command(next_help_heading = "Redress: one, for an upheld objection unless the listing has ended", group(ArgGroup::new("redress").multiple(false).conflicts_with("dismissed")))]
struct RedressArgs {
    /// Should not be listed: the listing is undone
    #[arg(long, group = "redress")]
    revoke: bool,
    /// Should be deleted: the listing ends, on a ground such as performed (see `listing remove --help`). With another text the
    /// removal goes through all the same, and a duty to give the reason opens
    #[arg(long, group = "redress", value_name = "GROUND")]
    remove: Option<String>,
    /// Data wrong: the listing's whole content as it should be, as `get --output json` shows it under `content`
    #[arg(long, group = "redress", value_name = "FILE", requires = "listing_etag")]
    rectify: Option<PathBuf>,
    /// For --rectify: the listing's etag as last read
    #[arg(long, value_name = "ETAG", requires = "rectify", conflicts_with_all = ["revoke", "remove", "end_relation"])]
    listing_etag: Option<String>,
    /// For a related person: this relation ends
    #[arg(long, group = "redress", value_name = "NUMBER", requires = "basis_document")]
    end_relation: Option<u64>,
    /// For --end-relation: the document that shows it
    #[arg(long, value_name = "NUMBER", requires = "end_relation", conflicts_with_all = ["revoke", "remove", "rectify"])]
    basis_document: Option<String>,
}

impl RedressArgs {
    fn read(self) -> Result<Option<v1::Redress>, Failure> {
        use v1::redress::Act;
        let act = match (self.revoke, self.remove, self.rectify, self.end_relation) {
            (true, ..) => Act::Revoke(v1::RevokeRedress {}),
            (_, Some(ground), ..) => Act::Remove(v1::RemoveRedress { ground }),
            (_, _, Some(file), _) => {
                let content = Some(content::read::<ContentFile, v1::ListingContent>(&file)?);
                Act::Rectify(v1::RectifyRedress { content, listing_etag: self.listing_etag.unwrap_or_default() })
            }
            (_, _, _, Some(relation)) => {
                let basis_document = self.basis_document.unwrap_or_default();
                Act::EndRelation(v1::EndRelationRedress { relation, basis_document })
            }
            (false, None, None, None) => return Ok(None),
        };
        Ok(Some(v1::Redress { act: Some(act) }))
    }
}

/// One act.
pub(super) enum Act {
    File(FileArgs),
    Apply(ApplicationFile),
    Refuse(RefuseArgs),
    Find(FindArgs),
    Decide(DecideArgs),
    Serve(ServeArgs),
    Reconsider(ReconsiderArgs),
    DecideReconsideration(DecideArgs),
    Withdraw(WithdrawArgs),
}

type Outcome = Result<Option<v1::PetitionOutcome>, Failure>;

pub(super) async fn run(act: Act, kind: v1::PetitionKind, session: &Session) -> Outcome {
    match act {
        Act::File(FileArgs { listing, content, request }) => {
            file(session, kind, listing, String::new(), &content, &request).await
        }
        Act::Apply(ApplicationFile { court, content, request }) => {
            file(session, kind, 0, court, &content, &request).await
        }
        Act::Find(find) => {
            let mutation = mutation(session, &find.head)?;
            decide(session, mutation, find, None).await
        }
        Act::Decide(DecideArgs { find, redress, approver }) => {
            let mutation = countersigned(session, &find.head, &approver)?;
            decide(session, mutation, find, redress.read()?).await
        }
        Act::DecideReconsideration(DecideArgs { find, redress, approver }) => {
            let mutation = countersigned(session, &find.head, &approver)?;
            decide_reconsideration(session, mutation, find, redress.read()?).await
        }
        Act::Refuse(RefuseArgs { petition, reasons, served_on, head }) => {
            let mutation = Some(mutation(session, &head)?);
            let request = v1::RefuseIntakeRequest { mutation, petition, reasons, served_on };
            Ok(session.connect().await?.remedy().refuse_intake(request).await?.outcome)
        }
        Act::Serve(ServeArgs { petition, served_on, head }) => {
            let mutation = Some(mutation(session, &head)?);
            let request = v1::ServeFindingRequest { mutation, petition, served_on };
            Ok(session.connect().await?.remedy().serve_finding(request).await?.outcome)
        }
        Act::Reconsider(ReconsiderArgs { petition, reasons, received_on, head }) => {
            let mutation = Some(mutation(session, &head)?);
            let request = v1::AskReconsiderationRequest { mutation, petition, reasons, received_on };
            Ok(session.connect().await?.remedy().ask_reconsideration(request).await?.outcome)
        }
        Act::Withdraw(WithdrawArgs { petition, reasons, head }) => {
            let mutation = Some(mutation(session, &head)?);
            let request = v1::WithdrawPetitionRequest { mutation, petition, reasons };
            Ok(session.connect().await?.remedy().withdraw_petition(request).await?.outcome)
        }
    }
}

fn mutation(session: &Session, head: &HeadArgs) -> Result<v1::Mutation, Failure> {
    session.head(&head.request, head.etag.as_deref())
}

fn countersigned(session: &Session, head: &HeadArgs, approver: &ApproverArgs) -> Result<v1::Mutation, Failure> {
    Ok(v1::Mutation { approver: session::approver(approver), ..mutation(session, head)? })
}

async fn file(
    session: &Session,
    kind: v1::PetitionKind,
    listing: u64,
    court: String,
    content: &ContentArg,
    request: &RequestArgs,
) -> Outcome {
    let mut content = content.read::<PetitionFile, v1::PetitionContent>()?;
    content.kind = kind.into();
    let mutation = Some(session.head(request, None)?);
    let request = v1::FilePetitionRequest { mutation, listing, court, content: Some(content) };
    Ok(session.connect().await?.remedy().file_petition(request).await?.outcome)
}

async fn decide(session: &Session, head: v1::Mutation, find: FindArgs, redress: Option<v1::Redress>) -> Outcome {
    let mutation = Some(head);
    let FindArgs { petition, upheld, reasons, served_on, .. } = find;
    let request = v1::DecidePetitionRequest { mutation, petition, upheld, reasons, served_on, redress };
    Ok(session.connect().await?.remedy().decide_petition(request).await?.outcome)
}

async fn decide_reconsideration(
    session: &Session,
    head: v1::Mutation,
    find: FindArgs,
    redress: Option<v1::Redress>,
) -> Outcome {
    let mutation = Some(head);
    let FindArgs { petition, upheld, reasons, served_on, .. } = find;
    let request = v1::DecideReconsiderationRequest { mutation, petition, upheld, reasons, served_on, redress };
    Ok(session.connect().await?.remedy().decide_reconsideration(request).await?.outcome)
}
