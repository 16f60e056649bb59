//! Many questions at once, all answered at one place in the history.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use xinhub_api::convert::{self, Inquiry, MAX_BATCH, Results, Whom, answer_to};
use xinhub_api::v1;
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_domain::decision::{Alike, Answer, view};
use xinhub_domain::identity::Identity;
use xinhub_domain::position::Position;
use xinhub_domain::time::Timestamp;
use xinhub_index::{Batch, Relations};

use super::answer::{MayAsk, position_to, record};
use super::{Shared, Standing};

impl Shared {
    /// All of a batch, or nothing of it.
    pub(super) fn many(&self, request: &v1::BatchCheckRequest) -> Option<v1::BatchCheckResponse> {
        let count = convert::batch_len(request);
        let is_either = request.packed.is_empty() || request.inquiries.is_empty();
        if request.consistency.is_some() || !is_either || !(1..=MAX_BATCH).contains(&count) {
            return None;
        }
        // Parsed before anything is held: lifts would wait for it. What is wrong with one the hub tells.
        let today = self.times.answers_at()?.date();
        let mut asked = Vec::with_capacity(count);
        let told = convert::batch(request, today, |whom| match whom {
            Ok(whom) => {
                asked.push(whom);
                ControlFlow::Continue(())
            }
            Err(_) => ControlFlow::Break(()),
        });
        if told.is_break() {
            return None;
        }
        // Between two changes: all are of one place. Nothing below waits for anybody.
        let held = self.held.lock();
        let standing = self.standing.load();
        let standing = standing.as_ref()?;
        let now = self.times.answers_at()?;
        let place = Position { epoch: standing.epoch, revision: held.as_ref()?.revision, time: now };
        let may = standing.may_ask(&request.measure, convert::item(&request.item))?;
        let mut results = Results::new(count, !request.packed.is_empty());
        let mut adverse = Vec::new();
        for asked in asked.chunks(Batch::TOGETHER) {
            for (whom, missed) in asked.iter().zip(standing.missed(&may, asked, now)) {
                if missed {
                    results.not_listed();
                    continue;
                }
                let inquiry = whom.inquiry();
                let answer = may.decide(standing, &inquiry, now)?;
                results.push(ItemResult::Answer(answer_to(&view(&answer, standing.audience.fields), &[], None)));
                if answer.verdict().is_adverse() {
                    adverse.push((inquiry.into_owned(), answer));
                }
            }
        }
        if !adverse.is_empty() && !self.recorded(standing, &may, &adverse, (place.revision, now)) {
            return None;
        }
        may.granted.clears.fetch_add((count - adverse.len()) as u64, Ordering::Relaxed);
        Some(results.response(position_to(&place), self.use_by(&place)))
    }

    /// Puts on record what speaks against somebody; says whether it may be answered.
    fn recorded(
        &self,
        standing: &Arc<Standing>,
        may: &MayAsk<'_>,
        adverse: &[(Inquiry, Answer)],
        (revision, now): (u64, Timestamp),
    ) -> bool {
        let records = self.records.load();
        // All have a place just now, or none is recorded.
        let Some(records) = records.as_ref().filter(|records| self.leased() && records.free() >= adverse.len()) else {
            return false;
        };
        let are_taken = adverse.iter().all(|(inquiry, answer)| {
            records.take(record(answer, &may.measure.code, may.item, inquiry, revision, now), None)
        });
        let again =
            |now| adverse.iter().all(|(inquiry, answer)| may.decide(standing, inquiry, now).as_ref() == Some(answer));
        are_taken && self.may_leave(standing, again)
    }
}

impl Standing {
    /// Of each of many, whether they are surely not listed, and are answered just that.
    fn missed(&self, may: &MayAsk<'_>, asked: &[Whom], now: Timestamp) -> impl Iterator<Item = bool> {
        let alike = Alike::new(may.measure, may.item, now.date());
        let mut batch = Batch::with_capacity(asked.len());
        for whom in asked {
            let is_probed = whom.is_plain() && alike.is_some_and(|alike| alike.is_probed(whom.identity()));
            let keys = is_probed.then(|| whom.identity()).into_iter().flat_map(Identity::keys);
            batch.push(keys.map(|input| *input.as_bytes()));
        }
        let mask = Relations::from_bits(may.measure.mask().bits()).unwrap_or(Relations::ALL);
        batch.missed(&self.audience.prf, |keys| self.view.has_many(keys, mask)).collect::<Vec<_>>().into_iter()
    }
}
