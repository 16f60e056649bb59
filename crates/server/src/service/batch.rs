//! BatchCheck: many identities for one measure, all answered at one revision, with an error per item.

use std::sync::Arc;

use xinhub_api::convert::{self, Inquiry, MAX_BATCH, item};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{self, BatchCheckRequest, BatchCheckResponse, BatchCheckResult};
use xinhub_domain::policy::LookupPermit;
use xinhub_domain::time::Timestamp;

use super::call::Call;
use super::check::{Asked, Decided, decide};
use super::lookup::{charge, permit, position_to, reached, use_by};
use crate::audit::AuditItem;

/// Batches above this size are worked on beside the threads that answer single checks, which would else wait for them.
const INLINE_ITEMS: usize = 64;

/// One batch: convert in, decide every item at one revision, convert out.
pub(super) async fn batch_check(call: Arc<Call>, request: BatchCheckRequest) -> Result<BatchCheckResponse, Failure> {
    let now = call.now();
    let count = request.inquiries.len();
    if count == 0 || count > MAX_BATCH {
        let problem = format!("has {count} inquiries; give 1 to {MAX_BATCH}, and split what is larger");
        return Err(Failure::field(Reason::BatchTooLarge, "inquiries", problem));
    }
    let permit = permit(&call, &request.measure, item(&request.item), now)?;
    call.note_question(&permit, "");
    charge(&call, &permit, count as u64, now)?;
    reached(&call, request.consistency.as_ref()).await?;
    if count <= INLINE_ITEMS {
        return Ok(answer(&call, &permit, &request, now));
    }
    let work = tokio::task::spawn_blocking(move || answer(&call, &permit, &request, now));
    work.await
        .map_err(|_| Failure::new(Reason::Internal, "the batch was not finished; the hub's log has the request id"))
}

fn answer(call: &Call, permit: &LookupPermit, request: &BatchCheckRequest, now: Timestamp) -> BatchCheckResponse {
    let item = item(&request.item);
    let today = now.date();
    // Parsed before any is decided: what takes time must not widen the window in which a commit may come between.
    let inquiries: Vec<Result<Inquiry, Failure>> = request
        .inquiries
        .iter()
        .map(|inquiry| convert::inquiry(Some(inquiry), "", today).map_err(Failure::from))
        .collect();
    let ledger = &call.hub().ledger;
    let (decided, position) = ledger.consistent(|| {
        let decide_one = |inquiry: &Result<Inquiry, Failure>| match inquiry {
            Ok(inquiry) => decide(ledger, &Asked { permit, item, inquiry, path: "" }, today),
            Err(failure) => Err(failure.clone()),
        };
        inquiries.iter().map(decide_one).collect::<Vec<Result<Decided, Failure>>>()
    });
    call.note_token(&position.token());
    let results = inquiries.iter().zip(decided).map(|(inquiry, decided)| {
        let result = match (inquiry, decided) {
            (Ok(inquiry), Ok(decided)) => {
                let noted = AuditItem { reference: inquiry.reference.clone(), ..decided.item(inquiry) };
                ItemResult::Answer(decided.leave(call, &Asked { permit, item, inquiry, path: "" }, noted))
            }
            (Ok(inquiry), Err(failure)) => ItemResult::Error(refused(call, Some(inquiry), &failure)),
            (Err(failure), _) => ItemResult::Error(refused(call, None, failure)),
        };
        BatchCheckResult { result: Some(result) }
    });
    BatchCheckResponse {
        results: results.collect(),
        position: Some(position_to(position)),
        use_by: Some(use_by(call, now)),
    }
}

fn refused(call: &Call, inquiry: Option<&Inquiry>, failure: &Failure) -> v1::ItemError {
    let item = AuditItem {
        key: inquiry.and_then(|inquiry| inquiry.identity.keys().next()),
        error: Some(failure.reason() as i32),
        reference: inquiry.map(|inquiry| inquiry.reference.clone()).unwrap_or_default(),
        ..AuditItem::default()
    };
    call.note_item(item, &[]);
    failure.to_item_error()
}
