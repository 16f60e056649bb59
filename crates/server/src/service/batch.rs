//! BatchCheck: many identities for one measure, all answered at one revision, with an error per item.
//!
//! Promises: an identity is answered the same, and leaves the same record, whether it comes in a message of its own or packed with
//! others; only what the answers take on the wire differs.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::sync::Arc;

use jiff::civil::Date;
use xinhub_api::convert::{self, Inquiry, MAX_BATCH, Results, Whom, item};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{self, BatchCheckRequest, BatchCheckResponse};
use xinhub_domain::decision::Verdict;
use xinhub_domain::identity::KeyInput;
use xinhub_domain::policy::LookupPermit;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Ledger;

use super::call::Call;
use super::check::{Asked, Decided, MAX_OVERTAKEN, OneOfMany, Outcome, decide, decide_many, held};
use super::lookup::{charge, cost, overtaken, permit, position_to, reached, use_by};
use crate::audit::AuditItem;

/// Batches of more checks are worked on beside the threads that answer single ones, which would else wait for them.
const INLINE_CHECKS: u64 = 1_000;

/// One batch: convert in, decide every item at one revision, record, convert out. As with a single check, what no longer holds
/// once it is recorded is decided anew.
pub(super) async fn batch_check(call: &Arc<Call>, request: BatchCheckRequest) -> Result<BatchCheckResponse, Failure> {
    let Prepared { permit, count, checks } = match prepare(call, &request).await {
        Ok(prepared) => prepared,
        Err(failure) => return call.close(Err(failure)).await,
    };
    let first = {
        let call = Arc::clone(call);
        move || {
            let batch = Arc::new(Batch::read(permit, &request, count, call.now()));
            let answered = batch.answer(&call);
            (batch, answered)
        }
    };
    let (batch, mut answered) = aside(checks, first).await?;
    let mut call = Arc::clone(call);
    for _ in 0..MAX_OVERTAKEN {
        let (response, decided) = answered;
        let response = call.close(Ok(response)).await?;
        if batch.holds(&call, decided).await? {
            return Ok(response);
        }
        call = call.again(&batch.permit, "")?;
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
    let count = convert::batch_len(request);
    if count == 0 || count > MAX_BATCH {
        let field = if request.packed.is_empty() { "inquiries" } else { "packed" };
        let problem = format!("has {count} inquiries; give 1 to {MAX_BATCH}, and split what is larger");
        return Err(Failure::field(Reason::BatchTooLarge, field, problem));
    }
    let permit = permit(call, &request.measure, item(&request.item), now)?;
    call.note_question(&permit, "");
    let alone: u64 = request.inquiries.iter().map(|inquiry| cost(inquiry.officers.len())).sum();
    let packed = (count - request.inquiries.len()) as u64;
    let checks = alone + packed * cost(0);
    charge(call, &permit, checks, now)?;
    reached(call, request.consistency.as_ref()).await?;
    Ok(Prepared { permit, count, checks })
}

/// A batch, permitted and parsed.
struct Batch {
    permit: LookupPermit,
    item: String,
    is_packed: bool,
    inquiries: Vec<OneOfMany>,
}

impl Batch {
    /// Parsed before any is decided: what takes time must not widen the window in which a commit may come between.
    fn read(permit: LookupPermit, request: &BatchCheckRequest, count: usize, now: Timestamp) -> Batch {
        let mut inquiries = Vec::with_capacity(count);
        let failed = |faults| Box::new(Failure::from(faults));
        let _: ControlFlow<()> = convert::batch(request, now.date(), |one| {
            inquiries.push(one.map_err(failed));
            ControlFlow::Continue(())
        });
        Batch { permit, item: request.item.clone(), is_packed: !request.packed.is_empty(), inquiries }
    }

    fn decide(&self, ledger: &Ledger, today: Date) -> Vec<Outcome> {
        let item = item(&self.item);
        let mut decided = Vec::with_capacity(self.inquiries.len());
        for inquiries in self.inquiries.chunks(xinhub_index::Batch::TOGETHER) {
            decide_many(ledger, &self.permit, item, inquiries, today, &mut decided);
        }
        decided
    }

    /// Decides all, notes all for the record of `call`, and says what the caller sees.
    fn answer(&self, call: &Call) -> (BatchCheckResponse, Vec<Outcome>) {
        let (ledger, now) = (&call.hub().ledger, call.now());
        let (decided, position) = ledger.consistent(|| self.decide(ledger, now.date()));
        call.note_token(position.token());
        let mut out = Out::new(self.inquiries.len(), self.is_packed);
        for (inquiry, one) in self.inquiries.iter().zip(&decided) {
            let whom = inquiry.as_ref().ok();
            match one {
                Outcome::NotListed => out.not_listed(whom),
                Outcome::Decided(decided) => out.decided(whom, decided, decided.seen(call, &self.permit)),
                Outcome::Refused(failure) => out.refused(whom, failure),
            }
        }
        for verdict in Verdict::ALL {
            call.hub().metrics.count_answers(call.method(), *verdict, out.counts[*verdict as usize]);
        }
        call.note_items(out.items, out.disclosed);
        (out.results.response(position_to(position), use_by(call, now)), decided)
    }

    /// Whether every answer that tells of a listing holds. Who was clear and is listed by now was answered rightly, at the batch's
    /// revision.
    async fn holds(self: &Arc<Self>, call: &Arc<Call>, before: Vec<Outcome>) -> Result<bool, Failure> {
        let (batch, call) = (Arc::clone(self), Arc::clone(call));
        let checks = self.telling(&before).map(|(inquiry, _)| cost(inquiry.officers.len())).sum();
        let work = move || {
            let (ledger, item, today) = (&call.hub().ledger, item(&batch.item), call.now().date());
            let holds = |inquiry: &Inquiry, before: &Decided| {
                let asked = Asked { permit: &batch.permit, item, inquiry, path: "" };
                decide(ledger, &asked, today).is_ok_and(|now| before.holds(&now))
            };
            held(ledger, || batch.telling(&before).all(|(inquiry, before)| holds(&inquiry, before)))
        };
        aside(checks, work).await
    }

    /// What tells of a listing, with what was asked.
    fn telling<'a>(&'a self, decided: &'a [Outcome]) -> impl Iterator<Item = (Cow<'a, Inquiry>, &'a Decided)> {
        let both = self.inquiries.iter().zip(decided);
        both.filter_map(|(one, decided)| Some((one.as_ref().ok()?.inquiry(), decided.telling()?)))
    }
}

/// What a batch answers, and what is noted of it.
struct Out {
    results: Results,
    items: Vec<AuditItem>,
    disclosed: Vec<u64>,
    /// By verdict.
    counts: [u64; Verdict::ALL.len()],
}

impl Out {
    fn new(count: usize, is_packed: bool) -> Out {
        let (results, items) = (Results::new(count, is_packed), Vec::with_capacity(count));
        Out { results, items, disclosed: Vec::new(), counts: Default::default() }
    }

    fn not_listed(&mut self, whom: Option<&Whom>) {
        self.counts[Verdict::Clear as usize] += 1;
        let (key, reference) = (key_of(whom), reference_of(whom));
        self.items.push(AuditItem { key, verdict: Some(Verdict::Clear), reference, ..AuditItem::default() });
        self.results.not_listed();
    }

    fn decided(&mut self, whom: Option<&Whom>, decided: &Decided, seen: v1::Answer) {
        self.counts[decided.answer.verdict() as usize] += 1;
        self.items.push(AuditItem { reference: reference_of(whom), ..decided.item(whom.map(Whom::identity)) });
        self.disclosed.extend_from_slice(decided.disclosed());
        self.results.push(ItemResult::Answer(seen));
    }

    fn refused(&mut self, whom: Option<&Whom>, failure: &Failure) {
        let (key, reference) = (key_of(whom), reference_of(whom));
        self.items.push(AuditItem { key, error: Some(failure.reason() as i32), reference, ..AuditItem::default() });
        self.results.push(ItemResult::Error(failure.to_item_error()));
    }
}

fn key_of(whom: Option<&Whom>) -> Option<KeyInput> {
    whom.and_then(|whom| whom.identity().keys().next())
}

fn reference_of(whom: Option<&Whom>) -> String {
    whom.map(Whom::reference).unwrap_or_default().to_owned()
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
