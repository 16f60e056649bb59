//! `xinhub approve`: what is approved is what was shown. The listing is read and shown, and the approval carries the etag that
//! it was shown with, so that a change in between is refused by the hub.

use clap::Args;
use xinhub_client::v1;
use xinhub_domain::time::{Day, Timestamp};

use super::show;
use crate::args::MutationArgs;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Line, Out};
use crate::session::{Session, confirmed};
use crate::{shapes, text, words};

/// Release a proposed listing, after it was shown; another clerk than who proposed it
///
/// Shows the listing, the state and last day that it will have, and whom it will reach. Goes on with --yes, or with a
/// confirmation at a terminal; without either nothing is approved.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// The listing's number
    listing: u64,
    /// Approve what is shown without being asked
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    mutation: MutationArgs,
}

/// What a listing becomes by its approval.
struct Approved {
    state: v1::ListingState,
    until: Option<String>,
    grace_until: Option<String>,
}

impl Approved {
    /// As the hub will see it today: measures reach anyone only after service of the decision and the grace period.
    fn of(listing: &v1::Listing, today: Day) -> Self {
        let decision = listing.content.as_ref().and_then(|content| content.decision.clone()).unwrap_or_default();
        let day = |text: &str| Day::parse(text).ok();
        let count = |value: i32| u32::try_from(value).ok().filter(|value| *value > 0);
        let grace_until = day(&decision.served_on).zip(count(decision.grace_days)).map(|(at, days)| at.plus_days(days));
        let state = match (decision.served_on.is_empty(), grace_until) {
            // The hub would refuse it.
            _ if listing.state() != v1::ListingState::Proposed => v1::ListingState::Unspecified,
            (true, _) => v1::ListingState::Decided,
            (false, Some(last)) if today <= last => v1::ListingState::Grace,
            (false, _) => v1::ListingState::Listed,
        };
        let counted = day(&decision.date).zip(count(decision.term_months)).map(|(at, months)| at.plus_months(months));
        Self {
            state,
            until: shapes::some(listing.until.clone()).or(counted.map(|day| day.to_string())),
            grace_until: grace_until.map(|day| day.to_string()),
        }
    }
}

pub(super) async fn run(args: ApproveArgs, session: &Session, out: &mut Out) -> Result<Exit, Failure> {
    let hub = session.connect().await?;
    // Who stands behind it is known before anything is shown.
    let mut mutation = session.mutation(&args.mutation)?;
    let request = v1::GetListingRequest { listing: args.listing, consistency: None };
    let listing = hub.lookup().get_listing(request).await?.listing.unwrap_or_default();
    if mutation.etag.is_empty() {
        mutation.etag.clone_from(&listing.etag);
    }
    // Given with the request id, it makes the same request again, should the outcome stay unclear.
    eprintln!("etag: {}", mutation.etag);
    present(&listing, out)?;
    out.flush()?;
    let question = format!("{} {}", out.lang.pick("approve listing", "批准名单"), args.listing);
    if !args.yes && !confirmed(&question)? {
        return Err(Failure::Usage(format!("listing {}: not approved; --yes approves what was shown", args.listing)));
    }
    let request = v1::ApproveRequest { mutation: Some(mutation), listing: args.listing };
    let outcome = hub.registry().approve(request).await?.outcome;
    show::outcome(outcome, out)
}

fn present(listing: &v1::Listing, out: &mut Out) -> Result<(), Failure> {
    let today = Timestamp(jiff::Timestamp::now().as_millisecond()).day();
    let approved = Approved::of(listing, today);
    let shape = shapes::Listing::from(listing.clone());
    let lang = out.lang;
    if out.format == Format::Json {
        return out.json(&shapes::Approval {
            becomes: shapes::Becomes {
                state: crate::codes::label::<v1::ListingState>(approved.state.into()),
                until: approved.until,
                grace_until: approved.grace_until,
            },
            listing: shape,
        });
    }
    let mut lines = show::lines(listing.clone(), &shape, lang);
    lines.extend(effects(listing, approved, lang));
    out.record(&shape, || lines)
}

/// What approval brings about.
fn effects(listing: &v1::Listing, approved: Approved, lang: Lang) -> Vec<Line> {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let content = listing.content.clone().unwrap_or_default();
    let shown_to = match content.own_unit.as_str() {
        "" => words::visibility(content.visibility(), lang).to_owned(),
        unit => format!("{}: {unit}", words::visibility(content.visibility(), lang)),
    };
    let no_term = name("no fixed term", "无固定期限").to_owned();
    let mut lines = vec![
        (name("becomes", "批准后状态"), words::listing_state(approved.state, lang).to_owned()),
        (name("last day", "最后一日"), approved.until.unwrap_or(no_term)),
        (name("grace until", "宽限期至"), approved.grace_until.unwrap_or_default()),
        (name("shown to", "公开范围"), shown_to),
        (name("reaches", "影响对象"), format!("{} {}", text::relation(v1::Relation::Debtor, lang), content.name)),
    ];
    for relation in listing.relations.iter().filter(|relation| !relation.ended) {
        let content = relation.content.clone().unwrap_or_default();
        lines.push((
            name("reaches", "影响对象"),
            format!("{} {}", text::relation(content.relation(), lang), content.name),
        ));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_approval_brings_is_told_as_the_hub_counts() {
        let check = |served_on: &str, grace_days: i32, term_months: i32, expected: (v1::ListingState, &str, &str)| {
            let decision = v1::Decision {
                date: "2026-01-31".to_owned(),
                served_on: served_on.to_owned(),
                grace_days,
                term_months,
                ..v1::Decision::default()
            };
            let content = v1::ListingContent { decision: Some(decision), ..v1::ListingContent::default() };
            let state = v1::ListingState::Proposed.into();
            let listing = v1::Listing { state, content: Some(content), ..v1::Listing::default() };
            let approved = Approved::of(&listing, Day::parse("2026-03-01").unwrap());
            let (until, grace) = (approved.until.unwrap_or_default(), approved.grace_until.unwrap_or_default());
            assert_eq!((approved.state, until.as_str(), grace.as_str()), expected, "{served_on} {grace_days}");
        };
        check("", 0, 24, (v1::ListingState::Decided, "2028-01-31", ""));
        check("", 30, 0, (v1::ListingState::Decided, "", ""));
        check("2026-02-10", 0, 0, (v1::ListingState::Listed, "", ""));
        check("2026-02-10", 19, 25, (v1::ListingState::Grace, "2028-02-29", "2026-03-01"));
        check("2026-02-10", 18, 24, (v1::ListingState::Listed, "2028-01-31", "2026-02-28"));
    }
}
