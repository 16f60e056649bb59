//! A listing's side entry for itself: as it is changed, and as a snapshot keeps it.

use std::sync::Arc;

use minicbor::{Decode, Encode};
use xinhub_domain::deadline::Clock;
use xinhub_domain::time::{Day, Timestamp};
use xinhub_index::Key;

use super::related::{Link, RelationRow, key_bytes};

/// What does not fit a row. One listing in four has further keys or related people, and few of these anything else: the rest lies
/// apart, and is read through this as if it were a part of it.
#[derive(Clone, Debug, Default, Encode, Decode)]
pub struct Extra {
    /// Every further key under which the listing is chained, with the next row of that key's chain.
    #[n(0)]
    pub links: Vec<Link>,
    /// Related people.
    #[n(1)]
    pub relations: Vec<RelationRow>,
    /// Made when it is first changed.
    #[n(2)]
    #[cbor(with = "shared", has_nil)]
    pub(super) rest: Option<Arc<Rest>>,
}

/// The rest of most listings.
pub(super) static NO_REST: Rest = Rest {
    exemptions: Vec::new(),
    disclosed_to: Vec::new(),
    grace_until: None,
    duties: Vec::new(),
    imposed: Vec::new(),
    retained: Vec::new(),
    own_unit: None,
    deferrals: Vec::new(),
    creditor_request_on: None,
};

/// What few listings have: exemptions, who was answered adversely, and what came of that.
#[derive(Clone, Debug, Default, PartialEq, Encode, Decode)]
pub struct Rest {
    /// Exemptions.
    #[n(0)]
    pub exemptions: Vec<ExemptionRow>,
    /// Clients that were answered adversely, as indices into the interned names.
    #[n(1)]
    pub disclosed_to: Vec<u32>,
    /// While in grace: its last day.
    #[n(2)]
    pub grace_until: Option<Day>,
    /// What clients owe by it, and owed.
    #[n(3)]
    pub duties: Vec<DutyRow>,
    /// What clients reported that they imposed.
    #[n(4)]
    pub imposed: Vec<ImposedRow>,
    /// What clients keep after a lift by their own act.
    #[n(5)]
    pub retained: Vec<RetentionRow>,
    /// The subject's own unit, where only that may be shown it; an index into the clients.
    #[n(6)]
    pub own_unit: Option<u32>,
    /// Deferrals of the subject's view.
    #[n(7)]
    pub deferrals: Vec<DeferralRow>,
    /// When it was removed because the creditor asked for it.
    #[n(8)]
    pub creditor_request_on: Option<Day>,
}

impl std::ops::Deref for Extra {
    type Target = Rest;

    fn deref(&self) -> &Rest {
        self.rest.as_deref().unwrap_or(&NO_REST)
    }
}

impl std::ops::DerefMut for Extra {
    fn deref_mut(&mut self) -> &mut Rest {
        Arc::make_mut(self.rest.get_or_insert_default())
    }
}

impl PartialEq for Extra {
    /// An empty rest is none.
    fn eq(&self, other: &Extra) -> bool {
        self.links == other.links && self.relations == other.relations && **self == **other
    }
}

impl Rest {
    /// Bytes held, what leads to it included. By lengths, so that a copy counts as much as what it was made of.
    pub(super) fn bytes(&self) -> usize {
        if *self == NO_REST {
            return 0;
        }
        size_of::<Rest>()
            + size_of::<(u8, Arc<Rest>)>()
            + 2 * size_of::<usize>()
            + self.exemptions.len() * size_of::<ExemptionRow>()
            + self.disclosed_to.len() * size_of::<u32>()
            + self.duties.len() * size_of::<DutyRow>()
            + self.imposed.len() * size_of::<ImposedRow>()
            + self.retained.len() * size_of::<RetentionRow>()
            + self.deferrals.len() * size_of::<DeferralRow>()
    }
}

/// One exemption of a listing.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ExemptionRow {
    /// Its number.
    #[n(0)]
    pub number: u64,
    /// The person's key.
    #[n(1)]
    #[cbor(with = "key_bytes")]
    pub key: Key,
    /// Measure codes; empty: all.
    #[n(2)]
    pub measures: Vec<String>,
    /// Items; empty: all.
    #[n(3)]
    pub items: Vec<String>,
    /// From this instant,
    #[n(4)]
    pub from: Timestamp,
    /// until just before this one.
    #[n(5)]
    pub until: Timestamp,
    /// Over.
    #[n(6)]
    pub ended: bool,
    /// Where its content lies.
    #[n(7)]
    pub place: u64,
}

impl ExemptionRow {
    /// Whether it reaches this measure and item at `now`.
    pub fn covers(&self, measure: &str, item: Option<&str>, now: Timestamp) -> bool {
        !self.ended
            && (self.from..self.until).contains(&now)
            && (self.measures.is_empty() || self.measures.iter().any(|code| code == measure))
            && (self.items.is_empty() || item.is_some_and(|item| self.items.iter().any(|code| code == item)))
    }
}

/// What a client owes by a listing: to lift what it imposed, or to handle a notice.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DutyRow {
    /// Who; an index into the clients.
    #[n(0)]
    pub client: u32,
    /// What.
    #[n(1)]
    pub clock: Clock,
    /// When it began.
    #[n(2)]
    pub since: Day,
    /// Its last day in time.
    #[n(3)]
    pub due: Day,
    /// That day has passed without the act.
    #[n(4)]
    pub overdue: bool,
    /// How it was closed, if it was.
    #[n(5)]
    pub closed: Option<Closing>,
    /// When.
    #[n(6)]
    pub closed_at: Option<Timestamp>,
    /// Where the report that closed it lies; 0 for none.
    #[n(7)]
    pub place: u64,
}

/// How a duty was closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
#[cbor(index_only)]
pub enum Closing {
    /// What was imposed is lifted.
    #[n(1)]
    Lifted,
    /// Nothing was imposed.
    #[n(2)]
    Acknowledged,
    /// A measure is kept by the client's own act.
    #[n(3)]
    Retained,
    /// The notice was handled.
    #[n(4)]
    Handled,
    /// The listing came into force again.
    #[n(5)]
    Restored,
    /// The listing ended: of its notice nothing is left to handle.
    #[n(6)]
    Ended,
}

impl Closing {
    /// The name used from the wire to the command line.
    pub fn code(self) -> &'static str {
        match self {
            Closing::Lifted => "lifted",
            Closing::Acknowledged => "acknowledged",
            Closing::Retained => "retained",
            Closing::Handled => "handled",
            Closing::Restored => "restored",
            Closing::Ended => "ended",
        }
    }
}

/// A measure that a client reported as imposed.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct ImposedRow {
    /// Who; an index into the clients.
    #[n(0)]
    pub client: u32,
    /// The measure's code.
    #[n(1)]
    pub measure: String,
    /// Its item.
    #[n(2)]
    pub item: Option<String>,
    /// On which day.
    #[n(3)]
    pub on: Day,
    /// It was lifted since.
    #[n(4)]
    pub lifted: bool,
    /// Where the report lies.
    #[n(5)]
    pub place: u64,
}

/// A measure that a client keeps after a lift.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct RetentionRow {
    /// Who; an index into the clients.
    #[n(0)]
    pub client: u32,
    /// The measure's code.
    #[n(1)]
    pub measure: String,
    /// Its last day.
    #[n(2)]
    pub until: Day,
    /// Over.
    #[n(3)]
    pub ended: bool,
    /// Where the report lies.
    #[n(4)]
    pub place: u64,
}

/// A deferral of the subject's view.
#[derive(Clone, Debug, PartialEq, Encode, Decode)]
pub struct DeferralRow {
    /// Its last day.
    #[n(0)]
    pub until: Day,
    /// Who deferred: a renewal takes another.
    #[n(1)]
    pub staff_id: String,
    /// Where it lies.
    #[n(2)]
    pub place: u64,
}

/// A rest in CBOR: as if it were not shared.
mod shared {
    use std::sync::Arc;

    use minicbor::{Decode, Decoder, Encode, Encoder};

    use super::Rest;

    pub(super) fn encode<C, W: minicbor::encode::Write>(
        rest: &Option<Arc<Rest>>,
        e: &mut Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        rest.as_deref().encode(e, context)
    }

    pub(super) fn decode<C>(
        d: &mut Decoder<'_>,
        context: &mut C,
    ) -> Result<Option<Arc<Rest>>, minicbor::decode::Error> {
        Ok(Option::<Rest>::decode(d, context)?.map(Arc::new))
    }

    /// Where it is not there, it is not written.
    pub(super) fn is_nil(rest: &Option<Arc<Rest>>) -> bool {
        rest.is_none()
    }

    pub(super) fn nil() -> Option<Option<Arc<Rest>>> {
        Some(None)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use xinhub_domain::measure::Relation;
    use xinhub_index::Key;

    use super::*;

    /// What snapshots hold: bytes that an earlier build wrote have to be read, and are written the same.
    #[test]
    fn side_entries_are_in_a_snapshot_as_ever() {
        let check = |extra: &Extra, bytes: &str| {
            let written = minicbor::to_vec(extra).unwrap();
            assert_eq!(written.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), bytes);
            assert_eq!(minicbor::decode::<Extra>(&written).unwrap(), *extra);
        };
        check(&Extra::default(), "828080");
        let key = Key([0xab; 16]);
        let relation = RelationRow::new(7, key, Relation::ActualController, true, Some(Day(20_000)), 1 << 33);
        let link = Link { key, next: 300, debtor: true, flagged: false, former: true };
        let mut extra = Extra { links: vec![link], relations: vec![relation], rest: None };
        let key = "50abababababababababababababababab";
        let begin = format!("8185{key}19012cf5f4f58187{}", format_args!("07{key}08f5194e20f41b0000000200000000"));
        check(&extra, &format!("82{begin}"));
        extra.relations[0] = RelationRow::new(7, Key([0xab; 16]), Relation::Principal, false, None, 3);
        extra.relations[0].set_ended(true);
        check(&extra, &format!("828185{key}19012cf5f4f5818707{key}04f4f6f503"));
        extra.disclosed_to.push(2);
        extra.own_unit = Some(5);
        check(&extra, &format!("838185{key}19012cf5f4f5818707{key}04f4f6f50388808102f68080800580"));
    }
}
