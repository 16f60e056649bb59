//! Batches: many identities inwards, as many results outwards, with a message for each or packed.

use std::borrow::Cow;
use std::iter;
use std::ops::ControlFlow;

use jiff::civil::Date;
use memchr::memchr_iter;
use xinhub_domain::identity::Identity;

use super::enums::kind_from;
use super::identity::{Role, identity, sound};
use super::lookup::{Inquiry, inquiry, not_listed};
use crate::reason::FieldFaults;
use crate::v1;
use crate::v1::batch_check_result::Result as ItemResult;

/// Identities in one batch.
pub const MAX_BATCH: usize = 10_000;
/// Between two packed numbers. No document's number holds one.
pub const PACKED_SEPARATOR: char = '\n';
const SEPARATOR: u8 = PACKED_SEPARATOR as u8;

/// One of many who are asked about.
#[derive(Clone, Debug)]
pub enum Whom {
    /// Nothing is said but whom it is about.
    Alone(Identity),
    /// More is said.
    More(Box<Inquiry>),
}

impl From<Inquiry> for Whom {
    fn from(inquiry: Inquiry) -> Whom {
        match inquiry.is_plain() && inquiry.name.is_none() && inquiry.reference.is_empty() {
            true => Whom::Alone(inquiry.identity),
            false => Whom::More(Box::new(inquiry)),
        }
    }
}

impl Whom {
    /// Whom it is about.
    pub fn identity(&self) -> &Identity {
        match self {
            Whom::Alone(identity) => identity,
            Whom::More(inquiry) => &inquiry.identity,
        }
    }

    /// The caller's own reference.
    pub fn reference(&self) -> &str {
        match self {
            Whom::Alone(_) => "",
            Whom::More(inquiry) => &inquiry.reference,
        }
    }

    /// All that is asked.
    pub fn inquiry(&self) -> Cow<'_, Inquiry> {
        match self {
            Whom::Alone(identity) => Cow::Owned(Inquiry::from(identity.clone())),
            Whom::More(inquiry) => Cow::Borrowed(inquiry),
        }
    }

    /// See [`Inquiry::is_plain`].
    pub fn is_plain(&self) -> bool {
        match self {
            Whom::Alone(_) => true,
            Whom::More(inquiry) => inquiry.is_plain(),
        }
    }
}

/// How many are asked about, one way or the other.
pub fn batch_len(request: &v1::BatchCheckRequest) -> usize {
    request.inquiries.len() + request.packed.iter().map(packed_len).sum::<usize>()
}

/// How many identities are packed here.
fn packed_len(message: &v1::PackedIdentities) -> usize {
    1 + memchr_iter(SEPARATOR, message.numbers.as_bytes()).count()
}

/// Gives who is asked about to `take`, one after the other in their order, until it breaks off. `today` is the date in Asia/Shanghai.
///
/// Of whoever can't be asked about, every fault, by its path within the inquiry. It is given, and not fetched: through an iterator's
/// layers each was moved so often that it cost more than to read the number.
#[inline]
pub fn batch<B>(
    request: &v1::BatchCheckRequest,
    today: Date,
    mut take: impl FnMut(Result<Whom, FieldFaults>) -> ControlFlow<B>,
) -> ControlFlow<B> {
    for one in &request.inquiries {
        match alone(one, today) {
            Some(identity) => take(Ok(Whom::Alone(identity)))?,
            None => take(inquiry(Some(one), "", today).map(Whom::from))?,
        }
    }
    for group in &request.packed {
        // Each as if it had come in an inquiry of its own that says nothing else.
        let kind = kind_from(group.kind);
        let numbers = &*group.numbers;
        let mut begin = 0;
        for end in memchr_iter(SEPARATOR, numbers.as_bytes()).chain(iter::once(numbers.len())) {
            let number = &numbers[begin..end];
            begin = end + 1;
            match kind.and_then(|kind| Identity::plain(kind, number, Some(&group.issuing_state), today)) {
                Some(identity) => take(Ok(Whom::Alone(identity)))?,
                None => take(packed(group, number, today).map(Whom::Alone))?,
            }
        }
    }
    ControlFlow::Continue(())
}

/// Whom an inquiry is about that says nothing else, as nearly all do; `None` says nothing of it.
#[inline(always)]
fn alone(message: &v1::Inquiry, today: Date) -> Option<Identity> {
    let v1::Inquiry { identity, name, officers, conditions, reference } = message;
    let is_alone = name.is_empty() && officers.is_empty() && conditions.is_empty() && reference.is_empty();
    let v1::Identity { kind, number, issuing_state } = identity.as_ref().filter(|_| is_alone)?;
    Identity::plain(kind_from(*kind)?, number, Some(issuing_state), today)
}

/// A packed number, whatever it is.
fn packed(group: &v1::PackedIdentities, number: &str, today: Date) -> Result<Identity, FieldFaults> {
    let kind = kind_from(group.kind);
    if let Some(identity) = kind.and_then(|kind| sound(kind, number, &group.issuing_state, Role::LookerUp, today)) {
        return Ok(identity);
    }
    let (number, issuing_state) = (number.to_owned(), group.issuing_state.clone());
    let alone = v1::Identity { kind: group.kind, number, issuing_state };
    identity(Some(&alone), "identity", Role::LookerUp, today)
}

/// What a batch is answered, in the order of who was asked about.
#[derive(Debug)]
pub struct Results {
    results: Vec<v1::BatchCheckResult>,
    packed: Option<v1::PackedResults>,
}

impl Results {
    /// None yet, and place for so many, in the form in which the request came.
    pub fn new(count: usize, is_packed: bool) -> Results {
        let packed = is_packed.then(|| v1::PackedResults { verdicts: Vec::with_capacity(count), results: Vec::new() });
        Results { results: Vec::with_capacity(if is_packed { 0 } else { count }), packed }
    }

    /// `CLEAR`, `NOT_LISTED` and nothing else, which every caller sees alike; packed, a byte says it.
    pub fn not_listed(&mut self) {
        match &mut self.packed {
            Some(packed) => packed.verdicts.push(v1::Verdict::Clear as u8),
            None => self.results.push(v1::BatchCheckResult { result: Some(ItemResult::Answer(not_listed())) }),
        }
    }

    /// Anything, as it is seen.
    pub fn push(&mut self, result: ItemResult) {
        let Some(packed) = &mut self.packed else {
            self.results.push(v1::BatchCheckResult { result: Some(result) });
            return;
        };
        // By what is seen of it, not by what is behind: a result of its own must tell nothing that the answer doesn't.
        let (verdict, says_more) = match &result {
            ItemResult::Answer(answer) => (answer.verdict(), *answer != not_listed()),
            ItemResult::Error(_) => (v1::Verdict::Unspecified, true),
        };
        if says_more {
            let position = u32::try_from(packed.verdicts.len()).unwrap_or(u32::MAX);
            let result = Some(v1::BatchCheckResult { result: Some(result) });
            packed.results.push(v1::PackedResult { position, result });
        }
        packed.verdicts.push(verdict as u8);
    }

    /// All of them, at one place in the history.
    pub fn response(self, position: v1::Position, use_by: prost_types::Timestamp) -> v1::BatchCheckResponse {
        let (results, packed) = (self.results, self.packed);
        v1::BatchCheckResponse { results, packed, position: Some(position), use_by: Some(use_by) }
    }
}
