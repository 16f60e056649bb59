//! BatchCheck: many identities for one measure, all answered at one revision, with an error per item.
//!
//! Promises: an identity is answered the same, and leaves the same record, whether it comes in a message of its own or packed with
//! others; only what the answers take on the wire differs.

use std::sync::Arc;

use xinhub_api::convert::{self, MAX_BATCH, item, verdict_to};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{self, BatchCheckRequest, BatchCheckResponse, BatchCheckResult};
use xinhub_domain::decision::Verdict;
use xinhub_domain::identity::Identity;
use xinhub_domain::policy::LookupPermit;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Ledger;

use super::call::Call;
use super::check::{Decided, OneOfMany, Outcome, decide_many};
use super::lookup::{MAX_OVERTAKEN, charge, cost, overtaken, permit, position_to, reached, use_by};
use crate::audit::AuditItem;

/// Batches of more checks are worked on beside the threads that answer single ones, which would else wait for them.
const INLINE_CHECKS: u64 = 1_000;
/// So many are decided together: enough for memory to be asked for many at a time, few enough for what is noted of each to stay at hand.
const TOGETHER: usize = 256;

/// One batch: convert in, decide every item at one revision, record, convert out. As with a single check, an answer that a
/// lift overtook while it was being recorded is decided anew.
pub(super) async fn batch_check(call: &Arc<Call>, request: BatchCheckRequest) -> Result<BatchCheckResponse, Failure> {
    let Prepared { permit, count, checks } = match prepare(call, &request).await {
        Ok(prepared) => prepared,
        Err(failure) => return call.close(Err(failure)).await,
    };
    let (ledger, now) = (&call.hub().ledger, call.now());
    let mut lifts = ledger.lift_seq();
    let first = {
        let call = Arc::clone(call);
        move || {
            let batch = Arc::new(Batch::read(permit, &request, count, now));
            let answered = batch.answer(&call);
            (batch, answered)
        }
    };
    let (batch, mut answered) = aside(checks, first).await?;
    let mut call = Arc::clone(call);
    for _ in 0..MAX_OVERTAKEN {
        let (response, decided) = answered;
        let response = call.close(Ok(response)).await?;
        let tells = decided.iter().any(Outcome::tells);
        if !tells || ledger.lift_seq() == lifts || batch.stands(&call, checks, decided).await? {
            return Ok(response);
        }
        call = call.again(&batch.permit, "")?;
        lifts = ledger.lift_seq();
        let work = {
            let (batch, call) = (Arc::clone(&batch), Arc::clone(&call));
            move || batch.answer(&call)
        };
        answered = aside(checks, work).await?;
    }
    call.close(Err(overtaken())).await
}

/// A batch, permitted.
struct Prepared {
    permit: LookupPermit,
    /// How many identities it asks about.
    count: usize,
    /// How many checks it takes.
    checks: u64,
}

/// Everything before the decision: the right to ask, the quota, the state asked for.
async fn prepare(call: &Call, request: &BatchCheckRequest) -> Result<Prepared, Failure> {
    let now = call.now();
    if !request.inquiries.is_empty() && !request.packed.is_empty() {
        let problem = "is given beside `inquiries`; ask by one of the two, and in two calls by both";
        return Err(Failure::field(Reason::InvalidField, "packed", problem));
    }
    let packed: usize = request.packed.iter().map(convert::packed_len).sum();
    let count = request.inquiries.len() + packed;
    if count == 0 || count > MAX_BATCH {
        let field = if packed > 0 { "packed" } else { "inquiries" };
        let problem = format!("has {count} inquiries; give 1 to {MAX_BATCH}, and split what is larger");
        return Err(Failure::field(Reason::BatchTooLarge, field, problem));
    }
    let permit = permit(call, &request.measure, item(&request.item), now)?;
    call.note_question(&permit, "");
    let alone: u64 = request.inquiries.iter().map(|inquiry| cost(inquiry.officers.len())).sum();
    let checks = alone + packed as u64 * cost(0);
    charge(call, &permit, checks, now)?;
    reached(call, request.consistency.as_ref()).await?;
    Ok(Prepared { permit, count, checks })
}

/// A batch, permitted and parsed.
struct Batch {
    permit: LookupPermit,
    item: String,
    inquiries: Vec<OneOfMany>,
    is_packed: bool,
    now: Timestamp,
}

impl Batch {
    /// Parsed before any is decided: what takes time must not widen the window in which a commit may come between.
    fn read(permit: LookupPermit, request: &BatchCheckRequest, count: usize, now: Timestamp) -> Batch {
        let today = now.date();
        let mut inquiries = Vec::with_capacity(count);
        inquiries.extend(request.inquiries.iter().map(|inquiry| match convert::inquiry(Some(inquiry), "", today) {
            Ok(inquiry) => OneOfMany::from(inquiry),
            Err(faults) => OneOfMany::from(Failure::from(faults)),
        }));
        for group in &request.packed {
            inquiries.extend(convert::packed(group, today).map(|identity| match identity {
                Ok(identity) => OneOfMany::Alone(identity),
                Err(faults) => OneOfMany::from(Failure::from(faults)),
            }));
        }
        let (item, is_packed) = (request.item.clone(), !request.packed.is_empty());
        Batch { permit, item, inquiries, is_packed, now }
    }

    /// Decides all at one revision.
    fn decide(&self, ledger: &Ledger) -> Vec<Outcome> {
        let (item, today) = (item(&self.item), self.now.date());
        let mut decided = Vec::with_capacity(self.inquiries.len());
        for inquiries in self.inquiries.chunks(TOGETHER) {
            decide_many(ledger, &self.permit, item, inquiries, today, &mut decided);
        }
        decided
    }

    /// Decides all, notes all for the record of `call`, and says what the caller sees.
    fn answer(&self, call: &Call) -> (BatchCheckResponse, Vec<Outcome>) {
        let ledger = &call.hub().ledger;
        let (decided, position) = ledger.consistent(|| self.decide(ledger));
        call.note_token(position.token());
        let mut out = Out::new(self.inquiries.len(), self.is_packed);
        for (inquiry, one) in self.inquiries.iter().zip(&decided) {
            let (identity, reference) = inquiry.about();
            match one {
                Outcome::NotListed => out.not_listed(identity, reference),
                Outcome::Decided(decided) => {
                    out.decided(identity, reference, decided, decided.seen(call, &self.permit))
                }
                Outcome::Refused(failure) => out.refused(identity, reference, failure),
            }
        }
        for verdict in Verdict::ALL {
            call.hub().metrics.count_answers(call.method(), *verdict, out.counts[*verdict as usize]);
        }
        call.note_items(out.items, out.disclosed);
        let (position, use_by) = (Some(position_to(position)), Some(use_by(call, self.now)));
        (BatchCheckResponse { results: out.results, packed: out.packed, position, use_by }, decided)
    }

    /// Whether every answer that tells of a listing would be the same now. Who was clear and is listed by now was answered
    /// rightly, at the batch's revision.
    async fn stands(self: &Arc<Self>, call: &Arc<Call>, checks: u64, before: Vec<Outcome>) -> Result<bool, Failure> {
        let (batch, call) = (Arc::clone(self), Arc::clone(call));
        let work = move || {
            let ledger = &call.hub().ledger;
            let (now, _) = ledger.consistent(|| batch.decide(ledger));
            before.iter().zip(&now).filter(|(before, _)| before.tells()).all(|(before, now)| before == now)
        };
        aside(checks, work).await
    }
}

/// What a batch answers, and what is noted of it.
struct Out {
    results: Vec<BatchCheckResult>,
    packed: Option<v1::PackedResults>,
    items: Vec<AuditItem>,
    disclosed: Vec<u64>,
    /// By verdict.
    counts: [u64; Verdict::ALL.len()],
}

impl Out {
    fn new(count: usize, is_packed: bool) -> Out {
        let packed = is_packed.then(|| v1::PackedResults { verdicts: Vec::with_capacity(count), results: Vec::new() });
        let results = Vec::with_capacity(if is_packed { 0 } else { count });
        Out { results, packed, items: Vec::with_capacity(count), disclosed: Vec::new(), counts: Default::default() }
    }

    /// `CLEAR`, `NOT_LISTED` and nothing else, which every caller sees alike; packed, a byte says it.
    fn not_listed(&mut self, identity: Option<&Identity>, reference: &str) {
        self.counts[Verdict::Clear as usize] += 1;
        self.items.push(AuditItem {
            key: identity.and_then(|identity| identity.keys().next()),
            verdict: Some(Verdict::Clear),
            reference: reference.to_owned(),
            ..AuditItem::default()
        });
        match &mut self.packed {
            Some(packed) => packed.verdicts.push(v1::Verdict::Clear as u8),
            None => self.push(v1::Verdict::Clear, ItemResult::Answer(convert::not_listed())),
        }
    }

    fn decided(&mut self, identity: Option<&Identity>, reference: &str, decided: &Decided, seen: v1::Answer) {
        let verdict = decided.answer.verdict();
        self.counts[verdict as usize] += 1;
        self.items.push(AuditItem { reference: reference.to_owned(), ..decided.item(identity) });
        self.disclosed.extend_from_slice(decided.disclosed());
        self.push(verdict_to(verdict), ItemResult::Answer(seen));
    }

    fn push(&mut self, verdict: v1::Verdict, result: ItemResult) {
        let Some(packed) = &mut self.packed else {
            self.results.push(BatchCheckResult { result: Some(result) });
            return;
        };
        // By what is seen of it, not by what is behind: a result of its own must tell nothing that the answer doesn't.
        let says_more = match &result {
            ItemResult::Answer(answer) => *answer != convert::not_listed(),
            ItemResult::Error(_) => true,
        };
        if says_more {
            let position = u32::try_from(packed.verdicts.len()).unwrap_or(u32::MAX);
            let result = Some(BatchCheckResult { result: Some(result) });
            packed.results.push(v1::PackedResult { position, result });
        }
        packed.verdicts.push(verdict as u8);
    }

    fn refused(&mut self, identity: Option<&Identity>, reference: &str, failure: &Failure) {
        self.items.push(AuditItem {
            key: identity.and_then(|identity| identity.keys().next()),
            error: Some(failure.reason() as i32),
            reference: reference.to_owned(),
            ..AuditItem::default()
        });
        self.push(v1::Verdict::Unspecified, ItemResult::Error(failure.to_item_error()));
    }
}

/// Runs the work of so many checks, beside the threads that answer single ones where it is much.
async fn aside<T: Send + 'static>(checks: u64, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    if checks <= INLINE_CHECKS {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| Failure::new(Reason::Internal, "the batch was not finished; the hub's log has the request id"))
}
