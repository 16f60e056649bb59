//! Listings and outcomes, for people and for programs.

use clap::Args;
use xinhub_client::{Error, v1};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Line, Out};
use crate::session::{PAGE_ROWS, Session};
use crate::shapes;
use crate::text;

/// Show a listing in full
#[derive(Debug, Args)]
pub(crate) struct GetArgs {
    /// The listing's number
    listing: u64,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(super) async fn get(args: GetArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let hub = Session::resolve(global, &args.connect)?.connect().await?;
    let request = v1::GetListingRequest { listing: args.listing, consistency: None };
    let listing = hub.lookup().get_listing(request).await?.listing.unwrap_or_default();
    let shape = shapes::Listing::from(listing.clone());
    let lang = out.lang;
    out.record(&shape, || lines(listing, &shape, lang))?;
    Ok(Exit::Success)
}

pub(super) fn lines(listing: v1::Listing, shape: &shapes::Listing, lang: Lang) -> Vec<Line> {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let content = listing.content.unwrap_or_default();
    let identity = |identity: &v1::Identity| {
        let kind = crate::codes::code::<v1::IdentityKind>(identity.kind).unwrap_or_default();
        format!("{kind} {}", identity.number)
    };
    let mut lines = vec![
        (name("listing", "编号"), shape.listing.to_string()),
        (name("state", "状态"), shape.state.unwrap_or_default().to_owned()),
        (name("etag", "etag"), shape.etag.clone()),
        (name("court", "法院"), shape.court.clone()),
        (name("name", "姓名或名称"), content.name),
        (name("identities", "证件"), content.identities.iter().map(identity).collect::<Vec<_>>().join("\n")),
        (name("representative", "法定代表人"), content.representative_name),
        (name("case", "案号"), content.case_number),
        (name("ground", "列入情形"), if content.ground > 0 { content.ground.to_string() } else { String::new() }),
        (name("conduct", "失信行为"), content.conduct),
        (name("basis", "执行依据"), content.basis_document),
        (name("obligation", "义务"), content.obligation),
        (name("performance", "履行情况"), content.performance),
        (name("until", "期限"), shape.until.clone().unwrap_or_default()),
        (name("grace until", "宽限期至"), shape.grace_until.clone().unwrap_or_default()),
        (name("updated", "更新时间"), shape.update_time.clone().unwrap_or_default()),
        (name("warnings", "警告"), shape.warnings.join("\n")),
    ];
    if let Some(decision) = content.decision {
        lines.push((name("decision", "决定书"), format!("{} {}", decision.number, decision.date).trim().to_owned()));
        lines.push((name("served on", "送达日期"), decision.served_on));
    }
    for relation in listing.relations {
        let content = relation.content.unwrap_or_default();
        let role = text::relation(content.relation(), lang);
        let ended = if relation.ended { name(" (ended)", "（已结束）") } else { "" };
        lines.push((name("relation", "关联人"), format!("{} {role} {}{ended}", relation.relation, content.name)));
    }
    for exemption in &shape.exemptions {
        let ended = if exemption.ended { name(" (ended)", "（已结束）") } else { "" };
        lines.push((name("exemption", "豁免"), format!("{}{ended}", exemption.exemption_id)));
    }
    lines
}

/// All listings of the court, page by page: memory holds one page.
pub(super) async fn list(
    session: &Session,
    states: Vec<v1::ListingState>,
    limit: Option<u64>,
    out: &mut Out,
) -> Result<(), Failure> {
    let lookup = session.connect().await?.lookup();
    let states: Vec<i32> = states.into_iter().map(i32::from).collect();
    let mut left = limit.unwrap_or(u64::MAX);
    let mut page_token = String::new();
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE_ROWS)).unwrap_or(0);
        let request = v1::ListListingsRequest { page_size, page_token, states: states.clone() };
        let page = lookup.list_listings(request).await?;
        left = left.saturating_sub(u64::try_from(page.listings.len()).unwrap_or(u64::MAX));
        page_token = page.next_page_token;
        show_page(page.listings, out)?;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(())
}

fn show_page(listings: Vec<v1::Listing>, out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        listings.into_iter().try_for_each(|listing| out.json(&shapes::Listing::from(listing)))?;
    } else if !listings.is_empty() {
        let rows = listings.into_iter().map(|listing| {
            let content = listing.content.unwrap_or_default();
            let state = crate::codes::label::<v1::ListingState>(listing.state).unwrap_or_default();
            let number = listing.listing.to_string();
            vec![number, state.to_owned(), content.name, content.case_number, listing.until, listing.etag]
        });
        let (name, case) = (out.lang.pick("name", "姓名或名称"), out.lang.pick("case", "案号"));
        out.table(&["listing", "state", name, case, "until", "etag"], rows)?;
    }
    out.flush()
}

/// What a mutation did. What a clerk must know besides goes to standard error, so that it is seen in scripts too.
pub(super) fn outcome(outcome: Option<v1::MutationOutcome>, out: &mut Out) -> Result<Exit, Failure> {
    let outcome = outcome.ok_or_else(|| Error::Connection("the hub answered without an outcome".to_owned()))?;
    let lang = out.lang;
    for warning in &outcome.warnings {
        eprintln!("{}: {warning}", lang.pick("warning", "警告"));
    }
    for (applies, told) in [
        (outcome.reason_owed, text::reason_owed(lang)),
        (outcome.stale, text::stale(lang)),
        (outcome.replayed, text::replayed(lang)),
    ] {
        if applies {
            eprintln!("{}: {told}", lang.pick("note", "注意"));
        }
    }
    let shape = shapes::Outcome::from(outcome);
    out.record(&shape, || {
        let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
        vec![
            (name("listing", "编号"), shape.listing.to_string()),
            (name("record", "记录"), shape.record.map(|number| number.to_string()).unwrap_or_default()),
            (name("state", "状态"), shape.state.unwrap_or_default().to_owned()),
            (name("etag", "etag"), shape.etag.clone()),
            (name("token", "位置标记"), shape.position.as_ref().map(|at| at.token.clone()).unwrap_or_default()),
        ]
    })?;
    Ok(Exit::Success)
}
