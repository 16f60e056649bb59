//! What is known of a call, and what of it is kept.

use std::fmt;
use std::sync::Arc;

use minicbor::{Decode, Encode};
use xinhub_domain::decision::{AnswerReason, Verdict};
use xinhub_domain::identity::KeyInput;
use xinhub_domain::measure::{Effect, Relation};
use xinhub_domain::policy::{Class, Method};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::crypto;

use super::AuditId;
use super::entry::{Adverse, Coarse, Detail, Entry, to_cbor, verdict_number};
use super::id::hour_of;
use super::keys::AuditKeys;

/// Measures whose clear answers would be a record of stays and journeys.
const COARSE_MEASURES: &str = "consumption.";

/// Everything about one call. Hand in all of it, always: what is kept of it is decided here.
pub struct Record {
    /// The client's id, from its certificate.
    pub caller: Arc<str>,
    /// Its class; `None` for a certificate that policy doesn't know.
    pub class: Option<Class>,
    /// The audit class of its grant: digests of two classes don't join.
    pub audit_class: Arc<str>,
    /// What it called.
    pub method: Method,
    /// The measure asked for: the purpose.
    pub measure: Option<Arc<str>>,
    /// The item of the measure.
    pub item: Option<Arc<str>>,
    /// When it was answered.
    pub time: Timestamp,
    /// The caller's own reference.
    pub reference: String,
    /// The state that the answer was read from.
    pub token: Vec<u8>,
    /// The id under which the service's log has the call.
    pub request_id: [u8; 16],
    /// The gRPC code of the call as a whole; 0 is OK.
    pub code: i32,
    /// One for each inquiry; for a mutation one that names the listing, or none.
    pub items: Vec<AuditItem>,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({}, {} items)", self.method, self.items.len())
    }
}

impl Record {
    /// Whether the answer may leave only once this is durable.
    pub fn is_adverse(&self) -> bool {
        self.items.iter().any(AuditItem::is_adverse)
    }

    fn is_coarse(&self) -> bool {
        self.measure.as_deref().is_some_and(|measure| measure.starts_with(COARSE_MEASURES))
    }
}

/// One inquiry and what became of it.
#[derive(Clone, Default)]
pub struct AuditItem {
    /// Whom it was about. Digested here, never stored.
    pub key: Option<KeyInput>,
    /// What was answered.
    pub verdict: Option<Verdict>,
    /// Or why nothing was: the number of a `Reason`.
    pub error: Option<i32>,
    /// The listings that the answer rests on.
    pub listings: Vec<u64>,
    /// What was said about their subject, for the subject's own view. Most are clear and have none, and pass by the thousand.
    pub subject_view: Option<Box<SubjectView>>,
    /// In a batch, the inquiry's own reference; empty where the call's says it.
    pub reference: String,
}

impl AuditItem {
    /// A listing that was read or changed itself.
    pub fn listing(listing: u64) -> AuditItem {
        AuditItem { listings: vec![listing], ..AuditItem::default() }
    }

    /// Whether it speaks against somebody.
    pub fn is_adverse(&self) -> bool {
        self.verdict.is_some_and(Verdict::is_adverse)
    }
}

impl fmt::Debug for AuditItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AuditItem(..)")
    }
}

/// What the subject may later learn of an adverse answer, beyond who asked, when and what for (个人信息保护法 art. 45).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectView {
    /// Why it was said.
    pub reason: AnswerReason,
    /// What it does.
    pub effect: Option<Effect>,
    /// How the person asked about stands to the listing.
    pub relation: Option<Relation>,
    /// The condition left to the caller.
    pub open_condition: Option<String>,
}

/// As stored, sealed under the listing's key: names, so that a catalogue that grows stays readable.
#[derive(Encode, Decode)]
#[cbor(array)]
struct StoredView {
    #[n(0)]
    reason: String,
    #[n(1)]
    effect: Option<String>,
    #[n(2)]
    relation: Option<String>,
    #[n(3)]
    open_condition: Option<String>,
}

impl SubjectView {
    fn to_bytes(&self) -> Vec<u8> {
        let stored = StoredView {
            reason: self.reason.as_str().to_owned(),
            effect: self.effect.map(|effect| effect.as_str().to_owned()),
            relation: self.relation.map(|relation| relation.as_str().to_owned()),
            open_condition: self.open_condition.clone(),
        };
        to_cbor(&stored)
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<SubjectView> {
        let stored: StoredView = minicbor::decode(bytes).ok()?;
        Some(SubjectView {
            reason: AnswerReason::parse(&stored.reason)?,
            effect: stored.effect.and_then(|effect| Effect::parse(&effect)),
            relation: stored.relation.and_then(|relation| Relation::parse(&relation)),
            open_condition: stored.open_condition,
        })
    }
}

/// The bytes of one record, sealed where they must be.
pub(super) fn encode(record: &Record, id: AuditId, keys: &AuditKeys) -> Vec<u8> {
    let coarse = record.is_coarse();
    let keeps = |item: &AuditItem| !coarse || item.is_adverse();
    let is_clear = |item: &AuditItem| item.verdict == Some(Verdict::Clear);
    let dropped = || record.items.iter().filter(|item| !keeps(item));
    let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let (clear, all) = (dropped().filter(|item| is_clear(item)).count(), dropped().count());
    let (clear, other) = (count(clear), count(all - clear));
    if coarse && record.code == 0 && !record.is_adverse() {
        let measure = record.measure.as_deref().unwrap_or_default().to_owned();
        let hour = hour_of(record.time);
        return to_cbor(&Entry::Coarse(Coarse { hour, caller: record.caller.to_string(), measure, clear, other }));
    }
    let kept: Vec<&AuditItem> = record.items.iter().filter(|item| keeps(item)).collect();
    // Of a call about a stay that came to nothing, the booking's reference is not kept either.
    let names_stay = coarse && kept.is_empty();
    let method = record.method.as_str();
    let verdicts: Vec<u8> = kept.iter().map(|item| item.verdict.map_or(0, verdict_number)).collect();
    to_cbor(&WrittenEntry::Call(Written {
        id: *id.as_bytes(),
        time: record.time,
        caller: &record.caller,
        class: record.class.map_or("", Class::as_str),
        audit_class: &record.audit_class,
        method: method.rsplit('/').next().unwrap_or(method),
        measure: record.measure.as_deref(),
        item: record.item.as_deref().filter(|_| !names_stay),
        reference: if names_stay { "" } else { &record.reference },
        token: &record.token,
        request_id: record.request_id,
        code: record.code,
        digests: &digests(&kept, record, keys),
        verdicts: &verdicts,
        details: details(&kept, record.time, id, keys),
        coarse_clear: clear,
        coarse_other: other,
    }))
}

/// [`Entry::Call`] as it is written: of what the record holds, nothing is copied first. Read back as a [`Call`], field by field.
///
/// [`Call`]: super::entry::Call
#[derive(Encode)]
enum WrittenEntry<'a> {
    #[n(1)]
    Call(#[n(0)] Written<'a>),
}

#[derive(Encode)]
#[cbor(array)]
struct Written<'a> {
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    id: [u8; 16],
    #[n(1)]
    time: Timestamp,
    #[n(2)]
    caller: &'a str,
    #[n(3)]
    class: &'a str,
    #[n(4)]
    audit_class: &'a str,
    #[n(5)]
    method: &'a str,
    #[n(6)]
    measure: Option<&'a str>,
    #[n(7)]
    item: Option<&'a str>,
    #[n(8)]
    reference: &'a str,
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    token: &'a [u8],
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    request_id: [u8; 16],
    #[n(11)]
    code: i32,
    #[n(12)]
    #[cbor(with = "minicbor::bytes")]
    digests: &'a [u8],
    #[n(13)]
    #[cbor(with = "minicbor::bytes")]
    verdicts: &'a [u8],
    #[n(14)]
    details: Vec<Detail>,
    #[n(15)]
    coarse_clear: u32,
    #[n(16)]
    coarse_other: u32,
}

fn digests(kept: &[&AuditItem], record: &Record, keys: &AuditKeys) -> Vec<u8> {
    let known = kept.iter().filter_map(|item| item.key.as_ref());
    if known.clone().next().is_none() {
        return vec![0; 16 * kept.len()];
    }
    let prf = keys.prf(&record.audit_class, keys.month(record.time));
    if let [AuditItem { key: Some(key), .. }] = kept {
        return prf.digest(key.as_bytes()).to_vec();
    }
    let mut made = prf.digest_many(known.map(KeyInput::as_bytes)).into_iter();
    let mut digests = Vec::with_capacity(16 * kept.len());
    for item in kept {
        let digest = item.key.as_ref().and_then(|_| made.next());
        digests.extend_from_slice(&digest.unwrap_or_default());
    }
    digests
}

fn details(kept: &[&AuditItem], time: Timestamp, id: AuditId, keys: &AuditKeys) -> Vec<Detail> {
    let is_plain = |item: &AuditItem| item.error.is_none() && item.reference.is_empty() && item.listings.is_empty();
    let detail = |(index, item): (u32, &&AuditItem)| Detail {
        index,
        error: item.error,
        reference: (!item.reference.is_empty()).then(|| item.reference.clone()),
        listings: adverse(item, time, id, keys),
    };
    (0..).zip(kept).filter(|(_, item)| !is_plain(item)).map(detail).collect()
}

fn adverse(item: &AuditItem, time: Timestamp, id: AuditId, keys: &AuditKeys) -> Vec<Adverse> {
    let view = item.subject_view.as_ref().map(|view| view.to_bytes());
    let month = keys.month(time);
    let seal = |listing: u64| {
        let key = keys.subject(keys.key_epoch(), listing, month)?;
        Some(crypto::seal(&key, &view_aad(id.as_bytes(), listing), view.as_deref()?))
    };
    item.listings.iter().map(|listing| Adverse { listing: *listing, view: seal(*listing) }).collect()
}

/// Binds a view to its record and listing: none can be put into another's place.
pub(super) fn view_aad(id: &[u8; 16], listing: u64) -> [u8; 24] {
    let mut aad = [0; 24];
    aad[..16].copy_from_slice(id);
    aad[16..].copy_from_slice(&listing.to_le_bytes());
    aad
}
