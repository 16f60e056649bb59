//! Batches: many identities inwards, as many results outwards, with a message for each or packed.

use std::borrow::Cow;
use std::iter;

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

/// Who is asked about, in their order. `today` is the date in Asia/Shanghai.
///
/// # Errors
/// Of each, every fault, by its path within the inquiry.
pub fn batch(
    request: &v1::BatchCheckRequest,
    today: Date,
) -> impl Iterator<Item = Result<Whom, FieldFaults>> + use<'_> {
    let alone = request.inquiries.iter().map(move |one| inquiry(Some(one), "", today).map(Whom::from));
    alone.chain(request.packed.iter().flat_map(move |group| packed(group, today)).map(|one| one.map(Whom::Alone)))
}

/// The packed identities, in their order, each as if it had come in an inquiry of its own that says nothing else.
fn packed(
    message: &v1::PackedIdentities,
    today: Date,
) -> impl Iterator<Item = Result<Identity, FieldFaults>> + use<'_> {
    let kind = kind_from(message.kind);
    let numbers = &*message.numbers;
    let mut begin = 0;
    memchr_iter(SEPARATOR, numbers.as_bytes()).chain(iter::once(numbers.len())).map(move |end| {
        let number = &numbers[begin..end];
        begin = end + 1;
        let sound = kind.and_then(|kind| sound(kind, number, &message.issuing_state, Role::LookerUp, today));
        match sound {
            Some(identity) => Ok(identity),
            None => {
                let (number, issuing_state) = (number.to_owned(), message.issuing_state.clone());
                let alone = v1::Identity { kind: message.kind, number, issuing_state };
                identity(Some(&alone), "identity", Role::LookerUp, today)
            }
        }
    })
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
