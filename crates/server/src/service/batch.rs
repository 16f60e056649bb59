//! BatchCheck: many identities for one measure, all answered at one revision, with an error per item.

use std::sync::Arc;

use xinhub_api::convert::{self, Inquiry, MAX_BATCH, item};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{self, BatchCheckRequest, BatchCheckResponse, BatchCheckResult};
use xinhub_domain::policy::LookupPermit;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Ledger;

use super::call::Call;
use super::check::{Asked, Decided, decide};
use super::lookup::{MAX_OVERTAKEN, charge, cost, overtaken, permit, position_to, reached, use_by};
use crate::audit::AuditItem;

/// Batches above this size are worked on beside the threads that answer single checks, which would else wait for them.
const INLINE_ITEMS: usize = 64;

/// One batch: convert in, decide every item at one revision, record, convert out. As with a single check, an answer that a
/// lift overtook while it was being recorded is decided anew.
pub(super) async fn batch_check(call: &Arc<Call>, request: BatchCheckRequest) -> Result<BatchCheckResponse, Failure> {
    let batch = match Batch::prepare(call, request).await {
        Ok(batch) => Arc::new(batch),
        Err(failure) => return call.close(Err(failure)).await,
    };
    let ledger = &call.hub().ledger;
    let mut call = Arc::clone(call);
    for _ in 0..MAX_OVERTAKEN {
        let lifts = ledger.lift_seq();
        let (response, decided) = batch.answer(&call).await?;
        let response = call.close(Ok(response)).await?;
        let tells = decided.iter().any(|one| one.as_ref().is_ok_and(Decided::tells));
        if !tells || ledger.lift_seq() == lifts || batch.stands(&call, decided).await? {
            return Ok(response);
        }
        call = call.again(&batch.permit, "")?;
    }
    call.close(Err(overtaken())).await
}

/// A batch, permitted and parsed.
struct Batch {
    permit: LookupPermit,
    item: String,
    inquiries: Vec<Result<Inquiry, Failure>>,
    now: Timestamp,
}

impl Batch {
    async fn prepare(call: &Call, request: BatchCheckRequest) -> Result<Batch, Failure> {
        let now = call.now();
        let count = request.inquiries.len();
        if count == 0 || count > MAX_BATCH {
            let problem = format!("has {count} inquiries; give 1 to {MAX_BATCH}, and split what is larger");
            return Err(Failure::field(Reason::BatchTooLarge, "inquiries", problem));
        }
        let permit = permit(call, &request.measure, item(&request.item), now)?;
        call.note_question(&permit, "");
        let costs = request.inquiries.iter().map(|inquiry| cost(inquiry.officers.len()));
        charge(call, &permit, costs.sum(), now)?;
        reached(call, request.consistency.as_ref()).await?;
        // Parsed before any is decided: what takes time must not widen the window in which a commit may come between.
        let parse = move || {
            let parse_one = |inquiry| convert::inquiry(Some(inquiry), "", now.date()).map_err(Failure::from);
            let inquiries = request.inquiries.iter().map(parse_one).collect();
            Batch { permit, item: request.item, inquiries, now }
        };
        aside(count, parse).await
    }

    /// Decides all at one revision.
    fn decide(&self, ledger: &Ledger) -> Vec<Result<Decided, Failure>> {
        let (item, today) = (item(&self.item), self.now.date());
        let decide_one = |inquiry: &Result<Inquiry, Failure>| match inquiry {
            Ok(inquiry) => decide(ledger, &Asked { permit: &self.permit, item, inquiry, path: "" }, today),
            Err(failure) => Err(failure.clone()),
        };
        self.inquiries.iter().map(decide_one).collect()
    }

    async fn answer(
        self: &Arc<Self>,
        call: &Arc<Call>,
    ) -> Result<(BatchCheckResponse, Vec<Result<Decided, Failure>>), Failure> {
        let (batch, call) = (Arc::clone(self), Arc::clone(call));
        let work = move || {
            let ledger = &call.hub().ledger;
            let (decided, position) = ledger.consistent(|| batch.decide(ledger));
            call.note_token(&position.token());
            let results = batch.inquiries.iter().zip(&decided).map(|(inquiry, one)| batch.result(&call, inquiry, one));
            let results = results.map(|result| BatchCheckResult { result: Some(result) }).collect();
            let (position, use_by) = (Some(position_to(position)), Some(use_by(&call, batch.now)));
            (BatchCheckResponse { results, position, use_by }, decided)
        };
        aside(self.inquiries.len(), work).await
    }

    fn result(
        &self,
        call: &Call,
        inquiry: &Result<Inquiry, Failure>,
        decided: &Result<Decided, Failure>,
    ) -> ItemResult {
        match (inquiry, decided) {
            (Ok(inquiry), Ok(decided)) => {
                let noted = AuditItem { reference: inquiry.reference.clone(), ..decided.item(inquiry) };
                let asked = Asked { permit: &self.permit, item: item(&self.item), inquiry, path: "" };
                ItemResult::Answer(decided.leave(call, &asked, noted))
            }
            (Ok(inquiry), Err(failure)) => ItemResult::Error(refused(call, Some(inquiry), failure)),
            (Err(failure), _) => ItemResult::Error(refused(call, None, failure)),
        }
    }

    /// Whether every answer that tells of a listing would be the same now. Who was clear and is listed by now was answered
    /// rightly, at the batch's revision.
    async fn stands(
        self: &Arc<Self>,
        call: &Arc<Call>,
        before: Vec<Result<Decided, Failure>>,
    ) -> Result<bool, Failure> {
        let (batch, call) = (Arc::clone(self), Arc::clone(call));
        let work = move || {
            let ledger = &call.hub().ledger;
            let (now, _) = ledger.consistent(|| batch.decide(ledger));
            let told = before.iter().zip(&now).filter(|(before, _)| before.as_ref().is_ok_and(Decided::tells));
            told.into_iter().all(|(before, now)| now.as_ref().ok() == before.as_ref().ok())
        };
        aside(self.inquiries.len(), work).await
    }
}

/// Runs the work of so many items, beside the threads that answer single checks where it is much.
async fn aside<T: Send + 'static>(items: usize, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    if items <= INLINE_ITEMS {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::new(Reason::Internal, "the batch was not finished; the hub's log has the request id"))
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
