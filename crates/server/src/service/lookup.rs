//! LookupService: is this identity restricted for this purpose?

use std::sync::Arc;

use tonic::{Request, Response, Status, Streaming};
use xinhub_api::convert::{self, Inquiry, item, timestamp_to};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1::lookup_service_server::LookupService;
use xinhub_api::v1::{self, CheckRequest, CheckResponse};
use xinhub_domain::policy::{Client, LookupAsk, LookupPermit};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Position;

use super::call::{Call, unary};
use super::check::{Asked, MAX_OVERTAKEN, decide, held};
use super::stream::CheckStream;
use super::{Hub, account, batch, listings, status};

/// The service.
pub(super) struct Lookup {
    hub: Arc<Hub>,
}

impl Lookup {
    pub(super) fn new(hub: Arc<Hub>) -> Self {
        Lookup { hub }
    }
}

#[tonic::async_trait]
impl LookupService for Lookup {
    async fn check(&self, request: Request<CheckRequest>) -> Result<Response<CheckResponse>, Status> {
        let call = Call::of(&request)?;
        check(&call, request.get_ref()).await.map(Response::new).map_err(Status::from)
    }

    async fn batch_check(
        &self,
        request: Request<v1::BatchCheckRequest>,
    ) -> Result<Response<v1::BatchCheckResponse>, Status> {
        let call = Call::of(&request)?;
        batch::batch_check(&call, request.into_inner()).await.map(Response::new).map_err(Status::from)
    }

    type CheckStreamStream = CheckStream;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<CheckStream>, Status> {
        let call = Call::of(&request)?;
        Ok(Response::new(CheckStream::new(call, request.into_inner(), self.hub.limits.max_stream_checks)))
    }

    async fn get_listing(
        &self,
        request: Request<v1::GetListingRequest>,
    ) -> Result<Response<v1::GetListingResponse>, Status> {
        unary(request, listings::get_listing).await
    }

    async fn list_announcements(
        &self,
        request: Request<v1::ListAnnouncementsRequest>,
    ) -> Result<Response<v1::ListAnnouncementsResponse>, Status> {
        unary(request, account::list_announcements).await
    }

    async fn list_listings(
        &self,
        request: Request<v1::ListListingsRequest>,
    ) -> Result<Response<v1::ListListingsResponse>, Status> {
        unary(request, listings::list_listings).await
    }
}

/// One check: convert in, decide, record, convert out.
///
/// An answer that speaks against somebody waits until its record is durable. Meanwhile a lift may be acknowledged, a term end with
/// the day, an exemption begin. Such an answer is decided once more before it leaves, by the state and the clocks as they are
/// then, and where it no longer holds the new one takes its place. What was recorded of it stays: it says more than was answered,
/// never less.
pub(super) async fn check(call: &Arc<Call>, request: &CheckRequest) -> Result<CheckResponse, Failure> {
    let now = call.now();
    let item = item(&request.item);
    let (inquiry, permit) = match prepared(call, request, item, now).await {
        Ok(prepared) => prepared,
        Err(failure) => return call.close(Err(failure)).await,
    };
    let ledger = &call.hub().ledger;
    let asked = Asked { permit: &permit, item, inquiry: &inquiry, path: "inquiry" };
    let mut call = Arc::clone(call);
    for _ in 0..MAX_OVERTAKEN {
        let now = call.now();
        let (decided, position) = ledger.consistent(|| decide(ledger, &asked, now.date()));
        let decided = match decided {
            Ok(decided) => decided,
            Err(failure) => return call.close(Err(failure)).await,
        };
        call.note_token(position.token());
        // The call's own reference says it; an item of a batch has one of its own.
        let answer = Some(decided.leave(&call, &asked, decided.item(Some(&inquiry.identity))));
        let (position, use_by) = (Some(position_to(position)), Some(use_by(&call, now)));
        let response = call.close(Ok(CheckResponse { answer, position, use_by })).await?;
        let holds = || decide(ledger, &asked, call.now().date()).is_ok_and(|now| decided.holds(&now));
        if !decided.tells() || held(ledger, holds) {
            return Ok(response);
        }
        call = call.again(&permit, &inquiry.reference)?;
    }
    call.close(Err(overtaken())).await
}

/// What is said where answer after answer was overtaken.
pub(super) fn overtaken() -> Failure {
    Failure::new(Reason::Overloaded, "what the answer rests on keeps changing just now; ask again in a moment")
}

/// Everything before the decision: the request, the right to ask, the quota, the state asked for.
async fn prepared(
    call: &Call,
    request: &CheckRequest,
    item: Option<&str>,
    now: Timestamp,
) -> Result<(Inquiry, LookupPermit), Failure> {
    let inquiry = convert::inquiry(request.inquiry.as_ref(), "inquiry", now.date());
    let (inquiry, permit) = both(inquiry, permit(call, &request.measure, item, now))?;
    call.note_question(&permit, &inquiry.reference);
    charge(call, &permit, cost(inquiry.officers.len()), now)?;
    reached(call, request.consistency.as_ref()).await?;
    Ok((inquiry, permit))
}

/// Inquiry and permit; what is wrong with the request on either side is told at once.
fn both(
    inquiry: Result<Inquiry, FieldFaults>,
    permit: Result<LookupPermit, Failure>,
) -> Result<(Inquiry, LookupPermit), Failure> {
    match (inquiry, permit) {
        (Ok(inquiry), Ok(permit)) => Ok((inquiry, permit)),
        (Err(mut faults), Err(failure)) if !failure.fields().is_empty() => {
            faults.extend(failure.fields().iter().cloned());
            Err(faults.into())
        }
        // Who may not ask is told that, and nothing of what was asked.
        (Ok(_) | Err(_), Err(denied)) => Err(denied),
        (Err(faults), Ok(_)) => Err(faults.into()),
    }
}

/// The right to ask for a measure.
pub(super) fn permit(call: &Call, measure: &str, item: Option<&str>, now: Timestamp) -> Result<LookupPermit, Failure> {
    call.hub().authority.permit(call.peer(), call.method(), &LookupAsk { measure, item }, now)
}

/// What an inquiry costs, in checks: each officer is looked up as the subject is.
pub(super) fn cost(officers: usize) -> u64 {
    1 + officers as u64
}

/// Takes the cost of a call from the client's quota.
pub(super) fn charge(call: &Call, permit: &LookupPermit, cost: u64, now: Timestamp) -> Result<(), Failure> {
    charge_client(call, permit.client(), cost, now)
}

/// The same, for what is no look-up.
pub(super) fn charge_client(call: &Call, client: &Client, cost: u64, now: Timestamp) -> Result<(), Failure> {
    let hub = call.hub();
    hub.quotas.take(client, cost, now, hub.clock.boot_ms()).map_err(|over| {
        hub.metrics.count_quota_refusal(over.limit);
        Failure::from(over)
    })
}

/// Waits until the state is as new as the caller needs it.
pub(super) async fn reached(call: &Call, consistency: Option<&v1::Consistency>) -> Result<(), Failure> {
    match consistency {
        Some(consistency) if !consistency.at_least.is_empty() => {
            call.hub().ledger.reached(&consistency.at_least).await.map_err(status::reach)
        }
        Some(_) | None => Ok(()),
    }
}

/// Until when an answer may be used: one decision, and no longer than a lease.
pub(super) fn use_by(call: &Call, now: Timestamp) -> prost_types::Timestamp {
    let lease_ms = i64::try_from(call.hub().limits.lease.as_millis()).unwrap_or(0);
    timestamp_to(Timestamp(now.0 + lease_ms))
}

/// A position as callers see it.
pub(super) fn position_to(position: Position) -> v1::Position {
    v1::Position { token: position.token(), time: Some(timestamp_to(position.time)) }
}
