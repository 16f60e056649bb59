//! LookupService: is this identity restricted for this purpose?

use std::sync::Arc;

use jiff::civil::Date;
use tonic::{Request, Response, Status, Streaming};
use xinhub_api::convert::{self, Inquiry, item, timestamp_to};
use xinhub_api::reason::{Failure, FieldFaults};
use xinhub_api::v1::lookup_service_server::LookupService;
use xinhub_api::v1::{self, CheckRequest, CheckResponse};
use xinhub_domain::policy::{LookupAsk, LookupPermit};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Position;

use super::call::{Call, unary};
use super::check::{Asked, decide};
use super::stream::{self, CheckStream};
use super::{Hub, batch, listings, status};

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
        unary(request, |call, request| async move { check(&call, &request).await }).await
    }

    async fn batch_check(
        &self,
        request: Request<v1::BatchCheckRequest>,
    ) -> Result<Response<v1::BatchCheckResponse>, Status> {
        unary(request, batch::batch_check).await
    }

    type CheckStreamStream = CheckStream;

    async fn check_stream(
        &self,
        request: Request<Streaming<v1::CheckStreamRequest>>,
    ) -> Result<Response<CheckStream>, Status> {
        let call = Call::of(&request)?;
        Ok(Response::new(stream::start(call, request.into_inner(), self.hub.limits.max_stream_checks)))
    }

    async fn get_listing(
        &self,
        request: Request<v1::GetListingRequest>,
    ) -> Result<Response<v1::GetListingResponse>, Status> {
        unary(request, listings::get_listing).await
    }

    async fn list_listings(
        &self,
        request: Request<v1::ListListingsRequest>,
    ) -> Result<Response<v1::ListListingsResponse>, Status> {
        unary(request, listings::list_listings).await
    }
}

/// One check: convert in, decide, convert out. The answer may leave once `call` is closed.
pub(super) async fn check(call: &Call, request: &CheckRequest) -> Result<CheckResponse, Failure> {
    let now = call.now();
    let item = item(&request.item);
    let inquiry = convert::inquiry(request.inquiry.as_ref(), "inquiry", now.date());
    let (inquiry, permit) = both(inquiry, permit(call, &request.measure, item, now))?;
    call.note_question(&permit, &inquiry.reference);
    charge(call, &permit, 1, now)?;
    reached(call, request.consistency.as_ref()).await?;
    let asked = Asked { permit: &permit, item, inquiry: &inquiry, path: "inquiry" };
    let (answer, position) = decided(call, &asked, now.date())?;
    Ok(CheckResponse { answer: Some(answer), position: Some(position_to(position)), use_by: Some(use_by(call, now)) })
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

fn decided(call: &Call, asked: &Asked<'_>, today: Date) -> Result<(v1::Answer, Position), Failure> {
    let ledger = &call.hub().ledger;
    let (decided, position) = ledger.consistent(|| decide(ledger, asked, today));
    let decided = decided?;
    call.note_token(&position.token());
    // The call's own reference says it; an item of a batch has one of its own.
    let item = decided.item(asked.inquiry);
    Ok((decided.leave(call, asked, item), position))
}

/// The right to ask for a measure.
pub(super) fn permit(call: &Call, measure: &str, item: Option<&str>, now: Timestamp) -> Result<LookupPermit, Failure> {
    call.hub().authority.permit(call.peer(), call.method(), &LookupAsk { measure, item }, now)
}

/// Takes the cost of a call from the client's quota.
pub(super) fn charge(call: &Call, permit: &LookupPermit, cost: u64, now: Timestamp) -> Result<(), Failure> {
    let hub = call.hub();
    hub.quotas.take(permit.client(), cost, now, hub.clock.boot_ms()).map_err(|over| {
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
