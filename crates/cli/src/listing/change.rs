//! Every mutation of a listing: arguments in, one call, the outcome out.

use clap::{Args, Subcommand};
use xinhub_client::{Registry, v1};

use crate::args::{CountersignedArgs, MutationArgs, RequestArgs};
use crate::content::{ContentArg, ContentFile, DecisionFile, ExemptionFile};
use crate::exit::Failure;
use crate::session::Session;

/// A first content, with its risk notice.
#[derive(Debug, Args)]
pub(crate) struct NoticeArgs {
    #[command(flatten)]
    content: ContentArg,
    /// When the notice was served, YYYY-MM-DD
    #[arg(long, value_name = "DATE", default_value = "", hide_default_value = true)]
    served_on: String,
    #[command(flatten)]
    mutation: MutationArgs,
}

/// A content to be released.
#[derive(Debug, Args)]
pub(crate) struct ProposeArgs {
    /// One that was noticed; without it a new one
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    listing: u64,
    /// The creditor's application that it follows, if one does
    #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
    application: u64,
    #[command(flatten)]
    content: ContentArg,
    #[command(flatten)]
    mutation: MutationArgs,
}

/// From the notice to the service of the decision.
#[derive(Debug, Subcommand)]
pub(super) enum ReleaseCommand {
    /// Open a listing with the risk notice that must come before it
    Notice(NoticeArgs),
    /// Propose a listing for release by a second clerk
    Propose(ProposeArgs),
    /// List in one step, where the hub's policy allows it
    Publish {
        /// One that was noticed; without it a new one
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        listing: u64,
        /// The creditor's application that it follows, if one does
        #[arg(long, value_name = "NUMBER", default_value_t = 0, hide_default_value = true)]
        application: u64,
        #[command(flatten)]
        content: ContentArg,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Refuse a proposed listing
    Reject {
        /// The listing's number
        listing: u64,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Take back a notice, a proposal, or a decision not yet served
    Withdraw {
        /// The listing's number
        listing: u64,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Record the service of the decision
    Serve {
        /// The listing's number
        listing: u64,
        /// When it was served, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        served_on: String,
        /// Days after service in which no measure reaches the subject
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        grace_days: i32,
        #[command(flatten)]
        mutation: MutationArgs,
    },
}

/// What follows.
#[derive(Debug, Subcommand)]
pub(super) enum ChangeCommand {
    /// Correct data that identify nobody, such as the state of performance
    Amend {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        content: ContentArg,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Correct wrong data on an objection, identities included. A lift for whom it frees
    Rectify {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        content: ContentArg,
        /// Why
        #[arg(long, default_value = "")]
        note: String,
        #[command(flatten)]
        mutation: CountersignedArgs,
    },
    /// Mask for now. A lift
    Hide {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        ground: Ground,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Bring a hidden listing back, by a new decision
    Restore {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        content: ContentArg,
        #[command(flatten)]
        mutation: CountersignedArgs,
    },
    /// Undo a listing that should not have been. A lift
    Revoke {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        ground: Ground,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// End a listing: performed, settled, or the case lawfully over. A lift
    Remove {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        ground: Ground,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Lengthen a fixed term on its lawful grounds
    Extend {
        /// The listing's number
        listing: u64,
        /// By so many months
        #[arg(long)]
        months: i32,
        /// On which ground
        #[arg(long)]
        ground: String,
        #[command(flatten)]
        mutation: CountersignedArgs,
    },
    /// Exempt one person from measures of one listing for a time
    Exempt {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        content: ContentArg,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// End an exemption early
    EndExemption {
        /// The listing's number
        listing: u64,
        /// The exemption's number
        exemption: u64,
        #[command(flatten)]
        mutation: CountersignedArgs,
    },
    #[command(flatten)]
    Duty(DutyCommand),
}

/// What the court's own clocks ask of it.
#[derive(Debug, Subcommand)]
pub(super) enum DutyCommand {
    /// Lengthen the grace period, within the profile's maximum. A lift for whom it frees
    WidenGrace {
        /// The listing's number
        listing: u64,
        /// Days of grace after service, in all
        #[arg(long, value_name = "DAYS")]
        grace_days: i32,
        #[command(flatten)]
        mutation: MutationArgs,
    },
    /// Give the reason that a lift still owes. It is never late
    GiveReason {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        ground: Ground,
        /// What it rests on
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Record that the obligation was performed: the court's own clock to lift begins
    RecordPerformance {
        /// The listing's number
        listing: u64,
        /// When, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        performed_on: String,
        /// What shows it
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        #[command(flatten)]
        mutation: MutationArgs,
    },
}

/// Why a listing is lifted.
#[derive(Debug, Args)]
pub(super) struct Ground {
    /// Why, as a code: performed, settlement_performed, creditor_request, no_assets_found, stayed, enforcement_refused,
    /// enforcement_terminated; early_deletion for fixed terms; wrongly_listed for revoke. A lift with another text or none
    /// goes through all the same, and a duty to give the reason opens
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    ground: String,
}

type Outcome = Result<Option<v1::MutationOutcome>, Failure>;

pub(super) async fn release(command: ReleaseCommand, session: &Session) -> Outcome {
    let mutation = |args: &MutationArgs| session.mutation(args).map(Some);
    let content = |arg: &ContentArg| arg.read::<ContentFile, v1::ListingContent>().map(Some);
    let registry = session.connect().await?.registry();
    Ok(match command {
        ReleaseCommand::Notice(NoticeArgs { content: file, served_on, mutation: head }) => {
            let (content, mutation) = (content(&file)?, mutation(&head)?);
            registry.notice(v1::NoticeRequest { mutation, content, served_on }).await?.outcome
        }
        ReleaseCommand::Propose(ProposeArgs { listing, application, content: file, mutation: head }) => {
            let (content, mutation) = (content(&file)?, mutation(&head)?);
            registry.propose(v1::ProposeRequest { mutation, listing, content, application }).await?.outcome
        }
        ReleaseCommand::Publish { listing, application, content: file, mutation: head } => {
            let (content, mutation) = (content(&file)?, mutation(&head)?);
            registry.publish(v1::PublishRequest { mutation, listing, content, application }).await?.outcome
        }
        ReleaseCommand::Reject { listing, note, mutation: head } => {
            registry.reject(v1::RejectRequest { mutation: mutation(&head)?, listing, note }).await?.outcome
        }
        ReleaseCommand::Withdraw { listing, note, mutation: head } => {
            registry.withdraw(v1::WithdrawRequest { mutation: mutation(&head)?, listing, note }).await?.outcome
        }
        ReleaseCommand::Serve { listing, served_on, grace_days, mutation: head } => {
            let mutation = mutation(&head)?;
            registry.serve(v1::ServeRequest { mutation, listing, served_on, grace_days }).await?.outcome
        }
    })
}

pub(super) async fn change(command: ChangeCommand, session: &Session) -> Outcome {
    let mutation = |args: &MutationArgs| session.mutation(args).map(Some);
    let countersigned = |args: &CountersignedArgs| session.countersigned(args).map(Some);
    let content = |arg: &ContentArg| arg.read::<ContentFile, v1::ListingContent>().map(Some);
    let registry = session.connect().await?.registry();
    Ok(match command {
        ChangeCommand::Amend { listing, content: file, mutation: head } => {
            let (content, mutation) = (content(&file)?, mutation(&head)?);
            registry.amend(v1::AmendRequest { mutation, listing, content }).await?.outcome
        }
        ChangeCommand::Rectify { listing, content: file, note, mutation: head } => {
            let (content, mutation) = (content(&file)?, countersigned(&head)?);
            registry.rectify(v1::RectifyRequest { mutation, listing, content, note }).await?.outcome
        }
        ChangeCommand::Hide { listing, ground: Ground { ground }, mutation: head } => {
            registry.hide(v1::HideRequest { mutation: mutation(&head)?, listing, ground }).await?.outcome
        }
        ChangeCommand::Restore { listing, content: file, mutation: head } => {
            let decision = Some(file.read::<DecisionFile, v1::Decision>()?);
            registry.restore(v1::RestoreRequest { mutation: countersigned(&head)?, listing, decision }).await?.outcome
        }
        ChangeCommand::Revoke { listing, ground: Ground { ground }, mutation: head } => {
            registry.revoke(v1::RevokeRequest { mutation: mutation(&head)?, listing, ground }).await?.outcome
        }
        ChangeCommand::Remove { listing, ground: Ground { ground }, mutation: head } => {
            registry.remove(v1::RemoveRequest { mutation: mutation(&head)?, listing, ground }).await?.outcome
        }
        ChangeCommand::Extend { listing, months, ground, mutation: head } => {
            let mutation = countersigned(&head)?;
            registry.extend(v1::ExtendRequest { mutation, listing, months, ground }).await?.outcome
        }
        ChangeCommand::Exempt { listing, content: file, mutation: head } => {
            let content = Some(file.read::<ExemptionFile, v1::ExemptionContent>()?);
            registry.exempt(v1::ExemptRequest { mutation: mutation(&head)?, listing, content }).await?.outcome
        }
        ChangeCommand::EndExemption { listing, exemption, mutation: head } => {
            let mutation = countersigned(&head)?;
            registry.end_exemption(v1::EndExemptionRequest { mutation, listing, exemption }).await?.outcome
        }
        ChangeCommand::Duty(command) => duty(command, session, &registry).await?,
    })
}

async fn duty(command: DutyCommand, session: &Session, registry: &Registry) -> Outcome {
    Ok(match command {
        DutyCommand::WidenGrace { listing, grace_days, mutation: head } => {
            let mutation = Some(session.mutation(&head)?);
            registry.widen_grace(v1::WidenGraceRequest { mutation, listing, grace_days }).await?.outcome
        }
        DutyCommand::GiveReason { listing, ground: Ground { ground }, note, request } => {
            let mutation = Some(session.head(&request, None)?);
            registry.give_reason(v1::GiveReasonRequest { mutation, listing, ground, note }).await?.outcome
        }
        DutyCommand::RecordPerformance { listing, performed_on, note, mutation: head } => {
            let mutation = Some(session.mutation(&head)?);
            let request = v1::RecordPerformanceRequest { mutation, listing, performed_on, note };
            registry.record_performance(request).await?.outcome
        }
    })
}
