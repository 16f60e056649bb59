//! MeasureService: what units do with a listing, and that they stop.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use xinhub_api::convert::{self, effect_to, listing_number, timestamp_to};
use xinhub_api::reason::{Failure, FieldFaults};
use xinhub_api::v1;
use xinhub_api::v1::measure_service_server::MeasureService;
use xinhub_domain::policy::{UnitAsk, UnitPermit};
use xinhub_ledger::{Act, DutyView, Request as LedgerRequest, UnitCommand};

use super::call::{Call, unary};
use super::lookup::position_to;
use super::page::{self, Page};
use super::registry::body_of;
use super::status;

/// The service.
pub(super) struct Units;

fn permit(call: &Call) -> Result<UnitPermit, Failure> {
    let permit = call.hub().authority.permit(call.peer(), call.method(), &UnitAsk, call.now())?;
    call.charge(permit.client())?;
    Ok(permit)
}

async fn list_measures(
    call: Arc<Call>,
    _request: v1::ListMeasuresRequest,
) -> Result<v1::ListMeasuresResponse, Failure> {
    let permit = permit(&call)?;
    let position = call.hub().ledger.position();
    call.note_token(position.token());
    let measures = permit.catalogue().measures().iter().map(|measure| v1::MeasureRow {
        measure: measure.code.to_string(),
        title_zh: measure.title_zh.to_string(),
        effect: effect_to(measure.effect) as i32,
        items: measure.items.iter().map(ToString::to_string).collect(),
        units: measure.units.iter().map(ToString::to_string).collect(),
        enabled: measure.enabled,
        askable: measure.is_askable(),
        granted: permit.client().is_granted(measure.id),
    });
    Ok(v1::ListMeasuresResponse { measures: measures.collect(), position: Some(position_to(position)) })
}

async fn report(call: Arc<Call>, mut request: v1::ReportRequest) -> Result<v1::ReportResponse, Failure> {
    let hub = Arc::clone(call.hub());
    let permit = permit(&call)?;
    let mut faults = FieldFaults::default();
    let machine = matches!(request.report, Some(v1::report_request::Report::Acknowledged(_)));
    let head = if machine {
        convert::mutation_by_machine(request.mutation.as_ref())
    } else {
        convert::mutation(request.mutation.as_ref())
    };
    let head = faults.take(head);
    let listing = faults.take(listing_number(request.listing, "listing"));
    let report = faults.take(convert::unit_report(request.report.as_ref(), call.now()));
    let (Some(head), Some(listing), Some(report)) = (head, listing, report) else {
        return Err(faults.into());
    };
    if let Some(head) = request.mutation.as_mut() {
        head.request_id.clear();
    }
    let body = body_of(call.method(), &request);
    let act = Act::Unit(permit, UnitCommand::Report { listing, report });
    let convert::Mutation { request_id, actor, approver, .. } = head;
    let request = LedgerRequest { act, request_id, body, etag: None, actor, approver };
    let outcome = hub.ledger.submit(request).await.map_err(status::command)?;
    call.note_listing(outcome.listing);
    call.note_token(outcome.position.token());
    let permit = hub.authority.permit(call.peer(), call.method(), &UnitAsk, call.now())?;
    let duty = hub.ledger.duty(&permit, listing);
    Ok(v1::ReportResponse {
        listing,
        duty_state: duty.as_ref().map_or(v1::DutyState::None, duty_state) as i32,
        position: Some(position_to(outcome.position)),
        replayed: outcome.replayed,
    })
}

async fn list_duties(call: Arc<Call>, request: v1::ListDutiesRequest) -> Result<v1::ListDutiesResponse, Failure> {
    let mut faults = FieldFaults::default();
    let Page { limit, after } = page::number(request.page_size, &request.page_token, &mut faults);
    let mut states = Vec::new();
    for (at, state) in request.states.iter().enumerate() {
        match v1::DutyState::try_from(*state) {
            Ok(v1::DutyState::Unspecified | v1::DutyState::None) | Err(_) => {
                faults.add(format!("states[{at}]"), "is open, overdue or closed");
            }
            Ok(state) => states.push(state),
        }
    }
    if !faults.is_empty() {
        return Err(faults.into());
    }
    if states.is_empty() {
        states = vec![v1::DutyState::Open, v1::DutyState::Overdue];
    }
    let permit = permit(&call)?;
    let hub = Arc::clone(call.hub());
    let position = hub.ledger.position();
    call.note_token(position.token());
    let all = states.contains(&v1::DutyState::Closed);
    let read = tokio::task::spawn_blocking(move || hub.ledger.duties(&permit, after, limit + 1, all));
    let found = read.await.map_err(page::unread)?;
    // All duties of one listing stand on one page: the next begins after a listing's number.
    let last = found.get(limit.saturating_sub(1)).filter(|_| found.len() > limit).map(|duty| duty.listing);
    let shown = found.iter().filter(|duty| last.is_none_or(|last| duty.listing <= last));
    let duties: Vec<v1::Duty> = shown.filter(|duty| states.contains(&duty_state(duty))).map(duty_to).collect();
    for duty in &duties {
        call.note_listing(duty.listing);
    }
    let next_page_token = last.map(page::token).unwrap_or_default();
    Ok(v1::ListDutiesResponse { duties, next_page_token, position: Some(position_to(position)) })
}

pub(super) fn duty_state(duty: &DutyView) -> v1::DutyState {
    match (&duty.closed, duty.overdue) {
        (Some(_), _) => v1::DutyState::Closed,
        (None, true) => v1::DutyState::Overdue,
        (None, false) => v1::DutyState::Open,
    }
}

fn duty_to(duty: &DutyView) -> v1::Duty {
    let imposed = duty.imposed.iter().map(|one| v1::ImposedReport {
        measure: one.measure.clone(),
        item: one.item.clone().unwrap_or_default(),
        on: one.on.to_string(),
    });
    let kept = duty.retained.iter().map(|one| v1::RetainedReport {
        measure: one.measure.clone(),
        until: one.until.to_string(),
        ..v1::RetainedReport::default()
    });
    v1::Duty {
        listing: duty.listing,
        court: duty.court.clone(),
        clock: duty.clock.code().to_owned(),
        state: duty_state(duty) as i32,
        since: duty.since.to_string(),
        due: duty.due.to_string(),
        closed_by: duty.closed.map(|(how, _)| how.code().to_owned()).unwrap_or_default(),
        close_time: duty.closed.and_then(|(_, at)| at).map(timestamp_to),
        imposed: imposed.collect(),
        own_retention: kept.collect(),
    }
}

macro_rules! units {
    ($($method:ident: $request:ident => $response:ident,)+) => {
        #[tonic::async_trait]
        impl MeasureService for Units {
            $(
                async fn $method(
                    &self,
                    request: Request<v1::$request>,
                ) -> Result<Response<v1::$response>, Status> {
                    unary(request, $method).await
                }
            )+
        }
    };
}

units! {
    list_measures: ListMeasuresRequest => ListMeasuresResponse,
    report: ReportRequest => ReportResponse,
    list_duties: ListDutiesRequest => ListDutiesResponse,
}
