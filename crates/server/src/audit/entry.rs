//! What the log keeps: entries as they are stored.

use minicbor::{Decode, Encode};
use xinhub_domain::decision::Verdict;
use xinhub_domain::time::Timestamp;

/// One entry of the log. CBOR arrays by index: a field may be added at the end, none is ever moved or reused.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
pub enum Entry {
    /// A call, with all that may be kept.
    #[n(1)]
    Call(#[n(0)] Box<Call>),
    /// A call of which next to nothing may be kept.
    #[n(2)]
    Coarse(#[n(0)] Coarse),
    /// A time in which nothing could be recorded, and therefore nothing was answered.
    #[n(3)]
    Gap(#[n(0)] Gap),
    /// Something that a replica reports, beside its adverse answers, which are calls like others.
    #[n(4)]
    Reported(#[n(0)] Reported),
}

/// One call.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Call {
    /// The record's id.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    pub id: [u8; 16],
    /// When it was answered.
    #[n(1)]
    pub time: Timestamp,
    /// Who asked.
    #[n(2)]
    pub caller: String,
    /// The caller's class, by its name in policy.
    #[n(3)]
    pub class: String,
    /// The audit class of its grant.
    #[n(4)]
    pub audit_class: String,
    /// The method's name, without its service.
    #[n(5)]
    pub method: String,
    /// The measure.
    #[n(6)]
    pub measure: Option<String>,
    /// Its item.
    #[n(7)]
    pub item: Option<String>,
    /// The caller's reference.
    #[n(8)]
    pub reference: String,
    /// The state that the answer was read from.
    #[n(9)]
    #[cbor(with = "minicbor::bytes")]
    pub token: Vec<u8>,
    /// The id of the service's log line.
    #[n(10)]
    #[cbor(with = "minicbor::bytes")]
    pub request_id: [u8; 16],
    /// The gRPC code.
    #[n(11)]
    pub code: i32,
    /// 16 bytes for each inquiry kept: the digest of whom it was about, or zeros where the number was none.
    #[n(12)]
    #[cbor(with = "minicbor::bytes")]
    pub digests: Vec<u8>,
    /// One byte for each inquiry kept, as in `xinhub.v1.Verdict`; 0 where it failed.
    #[n(13)]
    #[cbor(with = "minicbor::bytes")]
    pub verdicts: Vec<u8>,
    /// What only some of them have, by their place in `verdicts`.
    #[n(14)]
    pub details: Vec<Detail>,
    /// Inquiries that left nothing but their number: answered clear.
    #[n(15)]
    pub coarse_clear: u32,
    /// Likewise: answered unknown, or failed.
    #[n(16)]
    pub coarse_other: u32,
}

impl Call {
    /// The digest of whom inquiry `index` was about.
    pub fn digest(&self, index: usize) -> Option<[u8; 16]> {
        let digest: [u8; 16] = self.digests.get(16 * index..16 * (index + 1))?.try_into().ok()?;
        (digest != [0; 16]).then_some(digest)
    }

    /// What inquiry `index` was answered; `None` where it failed.
    pub fn verdict(&self, index: usize) -> Option<Verdict> {
        self.verdicts.get(index).and_then(|number| verdict_of(*number))
    }
}

/// What only some inquiries have.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Detail {
    /// Which inquiry.
    #[n(0)]
    pub index: u32,
    /// Why it failed: the number of a `Reason`.
    #[n(1)]
    pub error: Option<i32>,
    /// Its own reference.
    #[n(2)]
    pub reference: Option<String>,
    /// The listings that its answer rests on.
    #[n(3)]
    pub listings: Vec<Adverse>,
}

/// One listing that an answer rests on.
#[derive(Clone, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Adverse {
    /// Its number.
    #[n(0)]
    pub listing: u64,
    /// The [`SubjectView`], sealed under the listing's key of the month.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub view: Option<Vec<u8>>,
}

/// A call of which next to nothing may be kept.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Coarse {
    /// The start of the hour.
    #[n(0)]
    pub hour: Timestamp,
    /// Who asked.
    #[n(1)]
    pub caller: String,
    /// What for.
    #[n(2)]
    pub measure: String,
    /// How many inquiries were answered clear.
    #[n(3)]
    pub clear: u32,
    /// How many were answered unknown, or failed.
    #[n(4)]
    pub other: u32,
}

/// A time in which the log was full.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Gap {
    /// When a write first found no space.
    #[n(0)]
    pub from: Timestamp,
    /// When space was found again.
    #[n(1)]
    pub to: Timestamp,
    /// Calls refused meanwhile.
    #[n(2)]
    pub refused: u64,
}

/// Something that a replica reports. Reported twice, it has the same number.
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(array)]
pub struct Reported {
    /// Whose replica.
    #[n(0)]
    pub caller: String,
    /// Which of them.
    #[n(1)]
    #[cbor(with = "minicbor::bytes")]
    pub instance: [u8; 16],
    /// The number that the replica gave it.
    #[n(2)]
    pub sequence: u64,
    /// What it is.
    #[n(3)]
    pub what: ReportedWhat,
}

/// See [`Reported`].
#[derive(Debug, PartialEq, Eq, Encode, Decode)]
pub enum ReportedWhat {
    /// Questions answered `CLEAR` for one measure within an hour.
    #[n(1)]
    Clears {
        /// What for.
        #[n(0)]
        measure: String,
        /// The hour.
        #[n(1)]
        hour: Timestamp,
        /// How many.
        #[n(2)]
        count: u64,
    },
    /// The process ended without a word: the last of its answers before may be missing.
    #[n(2)]
    Gap {
        /// The last time at which it is known to have lived.
        #[n(0)]
        from: Timestamp,
        /// When it began again.
        #[n(1)]
        to: Timestamp,
    },
}

pub(super) fn to_cbor<T: Encode<()>>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(192);
    minicbor::encode(value, &mut bytes).expect("writing to a vector never fails, and no type here refuses a value");
    bytes
}

/// As in `xinhub.v1.Verdict`; on disk for ever.
pub(super) fn verdict_number(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Clear => 1,
        Verdict::Restricted => 2,
        Verdict::Consider => 3,
        Verdict::Unknown => 4,
    }
}

fn verdict_of(number: u8) -> Option<Verdict> {
    [Verdict::Clear, Verdict::Restricted, Verdict::Consider, Verdict::Unknown]
        .into_iter()
        .find(|verdict| verdict_number(*verdict) == number)
}
