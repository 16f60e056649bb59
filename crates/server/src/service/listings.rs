//! Reading listings: a court its own in full, others what a published entry shows of those that they were told of.

use std::sync::Arc;

use xinhub_api::convert::{
    content_to, content_to_published, etag_to, exemption_to, listing_number, relation_content_to, state_from, state_to,
    timestamp_to,
};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_domain::listing::{State, Visibility};
use xinhub_domain::policy::{DetailAsk, DetailPermit};
use xinhub_ledger::{Detail, Ledger};

use super::call::Call;
use super::lookup::{position_to, reached};
use super::page::{self, Page};
use super::status;

/// One listing.
pub(super) async fn get_listing(
    call: Arc<Call>,
    request: v1::GetListingRequest,
) -> Result<v1::GetListingResponse, Failure> {
    let number = listing_number(request.listing, "listing")?;
    let permit = permit(&call)?;
    reached(&call, request.consistency.as_ref()).await?;
    call.note_listing(number);
    let ledger = &call.hub().ledger;
    let position = ledger.position();
    call.note_token(position.token());
    let detail = ledger.listing(&permit, number).map_err(status::detail)?;
    let listing = detail.and_then(|detail| shown(ledger, &permit, &detail));
    let listing = listing.ok_or_else(|| {
        Failure::new(Reason::NotFound, "there is no such listing among those that this client may read")
    })?;
    Ok(v1::GetListingResponse { listing: Some(listing), position: Some(position_to(position)) })
}

/// A page of a court's own listings, by number.
pub(super) async fn list_listings(
    call: Arc<Call>,
    request: v1::ListListingsRequest,
) -> Result<v1::ListListingsResponse, Failure> {
    let (after, limit, states) = asked(&request)?;
    let permit = permit(&call)?;
    let court = permit.own_court().map(str::to_owned);
    let court = court.ok_or_else(|| Failure::new(Reason::MethodNotGranted, "only a court lists its listings"))?;
    let ledger = call.hub().ledger.clone();
    let position = ledger.position();
    call.note_token(position.token());
    // The table is walked from number to number: not on a thread that answers checks.
    let read = tokio::task::spawn_blocking(move || {
        let details = ledger.listings_of_court(&court, after, limit, &states)?;
        let last = details.last().map_or(after, |detail| detail.listing);
        let more = !details.is_empty() && !ledger.listings_of_court(&court, last, 1, &states)?.is_empty();
        Ok((details, more.then_some(last)))
    });
    let (details, next) = read.await.map_err(page::unread)?.map_err(status::detail)?;
    for detail in &details {
        call.note_listing(detail.listing);
    }
    Ok(v1::ListListingsResponse {
        listings: details.iter().map(|detail| in_full(detail)).collect(),
        next_page_token: next.map(page::token).unwrap_or_default(),
        position: Some(position_to(position)),
    })
}

/// The right to read. Reading costs one check.
fn permit(call: &Call) -> Result<DetailPermit, Failure> {
    let (hub, now) = (call.hub(), call.now());
    let permit = hub.authority.permit(call.peer(), call.method(), &DetailAsk, now)?;
    call.charge(permit.client())?;
    Ok(permit)
}

fn asked(request: &v1::ListListingsRequest) -> Result<(u64, usize, Vec<State>), Failure> {
    let mut faults = FieldFaults::default();
    let Page { limit, after } = page::number(request.page_size, &request.page_token, &mut faults);
    let mut states = Vec::with_capacity(request.states.len().min(State::ALL.len()));
    for (at, state) in request.states.iter().enumerate() {
        match state_from(*state) {
            Some(state) if !states.contains(&state) => states.push(state),
            Some(_) => {}
            None => faults.add(format!("states[{at}]"), "is not a state that this hub knows"),
        }
    }
    if faults.is_empty() { Ok((after, limit, states)) } else { Err(faults.into()) }
}

/// What the permit's holder sees of a listing; `None` for nothing. Numbers are dense: without the second condition whoever
/// reads details could read the whole list.
fn shown(ledger: &Ledger, permit: &DetailPermit, detail: &Detail) -> Option<v1::Listing> {
    if permit.own_court().is_some() {
        return Some(in_full(detail));
    }
    let client = permit.client().id();
    let may = match detail.content.visibility {
        Visibility::Public | Visibility::Departmental => {
            ledger.disclosed_to(detail.listing).iter().any(|told| told == client)
        }
        // Its notice went to this unit and to no other.
        Visibility::OwnUnitOnly => detail.content.own_unit.as_deref() == Some(client),
    };
    (detail.state.restricts() && may).then(|| as_published(detail))
}

fn in_full(detail: &Detail) -> v1::Listing {
    let relations = detail.relations.iter().map(|one| v1::ListedRelation {
        relation: one.relation,
        content: Some(relation_content_to(&one.content)),
        ended: one.ended,
    });
    let exemptions = detail.exemptions.iter().map(|one| v1::ListedExemption {
        exemption: one.exemption,
        content: Some(exemption_to(&one.content)),
        ended: one.ended,
    });
    v1::Listing {
        content: Some(content_to(&detail.content)),
        relations: relations.collect(),
        exemptions: exemptions.collect(),
        grace_until: detail.grace_until.map(|day| day.to_string()).unwrap_or_default(),
        warnings: detail.content.warnings(),
        ..as_published(detail)
    }
}

/// Without related people and exemptions, which are nobody's business but the court's.
fn as_published(detail: &Detail) -> v1::Listing {
    v1::Listing {
        listing: detail.listing,
        state: state_to(detail.state) as i32,
        etag: etag_to(detail.revision),
        court: detail.court.clone(),
        content: Some(content_to_published(&detail.content)),
        relations: Vec::new(),
        until: detail.until.map(|day| day.to_string()).unwrap_or_default(),
        grace_until: String::new(),
        update_time: Some(timestamp_to(detail.updated_at)),
        exemptions: Vec::new(),
        attested: detail.content.decision.as_ref().is_some_and(|decision| decision.attested),
        warnings: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(page_size: i32, page_token: &str, states: &[i32], expected: Result<(u64, usize), &[&str]>) {
        let request = v1::ListListingsRequest { page_size, page_token: page_token.to_owned(), states: states.to_vec() };
        match (asked(&request), expected) {
            (Ok((after, limit, _)), Ok(expected)) => assert_eq!((after, limit), expected),
            (Err(failure), Err(paths)) => {
                assert_eq!(failure.fields().iter().map(|fault| fault.path()).collect::<Vec<_>>(), paths);
            }
            (got, expected) => panic!("{got:?} instead of {expected:?}"),
        }
    }

    #[test]
    fn pages_are_bounded_and_their_tokens_come_back() {
        check(0, "", &[], Ok((0, 100)));
        check(7, &page::token(300), &[5, 5, 6], Ok((300, 7)));
        check(10_000, "", &[], Ok((0, 500)));
        check(-1, "x", &[0, 5, 99], Err(&["page_size", "page_token", "states[0]", "states[2]"]));
    }
}
