//! The two parts of a side entry that many listings have, as small as they get: further keys and related people.

use minicbor::{Decode, Encode};
use xinhub_domain::measure::Relation;
use xinhub_domain::time::Day;
use xinhub_index::Key;

/// One further key of a listing.
#[derive(Clone, Copy, Debug, PartialEq, Encode, Decode)]
pub struct Link {
    /// Its digest.
    #[n(0)]
    #[cbor(with = "key_bytes")]
    pub key: Key,
    /// 1 + the next row of the key's chain; 0 for none.
    #[n(1)]
    pub next: u32,
    /// It is an identity of the debtor, not only of a related person.
    #[n(2)]
    pub debtor: bool,
    /// That identity is flagged.
    #[n(3)]
    pub flagged: bool,
    /// It was an identity of the debtor until a rectification: no import takes it for the debtor's again.
    #[n(4)]
    pub former: bool,
}

impl Link {
    /// The key of a related person, and nothing else.
    fn is_plain(&self) -> bool {
        !self.debtor && !self.flagged && !self.former
    }
}

/// A [`Link`] as the side table keeps it, with its row's place in the group. Of bytes alone, so that none are lost between two.
#[derive(Clone, Copy, Debug)]
pub(super) struct PackedLink {
    key: Key,
    next: [u8; 4],
    flags: u8,
    pub(super) at: u8,
}

impl PackedLink {
    const DEBTOR: u8 = 1;
    const FLAGGED: u8 = 2;
    const FORMER: u8 = 4;

    pub(super) fn new(at: u8, link: &Link) -> PackedLink {
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        let flags =
            flag(link.debtor, Self::DEBTOR) | flag(link.flagged, Self::FLAGGED) | flag(link.former, Self::FORMER);
        PackedLink { key: link.key, next: link.next.to_le_bytes(), flags, at }
    }

    pub(super) fn link(&self) -> Link {
        let has = |flag| self.flags & flag != 0;
        Link {
            key: self.key,
            next: u32::from_le_bytes(self.next),
            debtor: has(Self::DEBTOR),
            flagged: has(Self::FLAGGED),
            former: has(Self::FORMER),
        }
    }
}

/// One related person of a listing, in 40 bytes.
#[derive(Clone, Copy, Debug)]
pub struct RelationRow {
    /// Its number.
    pub number: u64,
    /// The person's key.
    pub key: Key,
    /// Where its content lies.
    pub place: u64,
    /// Bits 0–19: its last day, all ones for none. 20–22: the place of its bit in [`Relation`]. 23: flagged. 24: ended. In the side
    /// table alone 25: `next` is that of a [`Link`] of the same key; 26–31: its row's place in the group.
    bits: u32,
    next: u32,
}

const NO_TERM: u32 = (1 << RELATION_SHIFT) - 1;
const RELATION_SHIFT: u32 = 20;
const FLAGGED: u32 = 1 << 23;
const ENDED: u32 = 1 << 24;
const CHAINED: u32 = 1 << 25;
const AT_SHIFT: u32 = 26;

impl RelationRow {
    /// One that has not ended.
    pub fn new(
        number: u64,
        key: Key,
        relation: Relation,
        flagged: bool,
        until: Option<Day>,
        place: u64,
    ) -> RelationRow {
        let day = until.map_or(NO_TERM, |day| day.0.min(NO_TERM - 1));
        let bits = day | relation.bit().trailing_zeros() << RELATION_SHIFT | if flagged { FLAGGED } else { 0 };
        RelationRow { number, key, place, bits, next: 0 }
    }

    /// How related.
    pub fn relation(&self) -> Option<Relation> {
        let bit = self.relation_bit();
        Relation::ALL.iter().copied().find(|relation| relation.bit() == bit)
    }

    /// How related: the bit of [`Relation`].
    pub fn relation_bit(&self) -> u8 {
        1 << (self.bits >> RELATION_SHIFT & 7)
    }

    /// The identity is flagged.
    pub fn is_flagged(&self) -> bool {
        self.bits & FLAGGED != 0
    }

    /// Last day.
    pub fn until(&self) -> Option<Day> {
        Some(self.bits & NO_TERM).filter(|day| *day != NO_TERM).map(Day)
    }

    /// Over.
    pub fn has_ended(&self) -> bool {
        self.bits & ENDED != 0
    }

    /// Says whether it is over.
    pub fn set_ended(&mut self, ended: bool) {
        self.bits = self.bits & !ENDED | if ended { ENDED } else { 0 };
    }

    /// Its row's place in the group.
    pub(super) fn at(&self) -> u8 {
        (self.bits >> AT_SHIFT) as u8
    }

    /// The link that the side table keeps with it.
    pub(super) fn link(&self) -> Option<Link> {
        let link = Link { key: self.key, next: self.next, debtor: false, flagged: false, former: false };
        (self.bits & CHAINED != 0).then_some(link)
    }

    /// As it is outside of the side table.
    pub(super) fn alone(&self) -> RelationRow {
        RelationRow { bits: self.bits & (CHAINED - 1), next: 0, ..*self }
    }
}

impl PartialEq for RelationRow {
    /// Where the side table keeps it is not asked.
    fn eq(&self, other: &RelationRow) -> bool {
        let of = |one: &RelationRow| (one.number, one.key, one.place, one.bits & (CHAINED - 1));
        of(self) == of(other)
    }
}

/// Relations as the side table keeps them, for the row at `at` of its group: with the links that are of their keys alone, which
/// spares these 22 bytes each. Returns how many links are left to keep beside them. Those that go with relations are the last, in
/// the relations' order, so that they come out in the order in which they went in.
pub(super) fn pack(at: u8, links: &[Link], relations: &mut [RelationRow]) -> usize {
    for relation in relations.iter_mut() {
        *relation = relation.alone();
        relation.bits |= u32::from(at) << AT_SHIFT;
    }
    let (mut kept, mut before) = (links.len(), relations.len());
    while let Some(link) = kept.checked_sub(1).map(|last| links[last]).filter(Link::is_plain) {
        let Some(of) = relations[..before].iter().rposition(|relation| relation.key == link.key) else { break };
        relations[of].bits |= CHAINED;
        relations[of].next = link.next;
        (kept, before) = (kept - 1, of);
    }
    kept
}

/// A relation in CBOR.
#[derive(Encode, Decode)]
struct Fields {
    #[n(0)]
    number: u64,
    #[n(1)]
    #[cbor(with = "key_bytes")]
    key: Key,
    #[n(2)]
    relation: u8,
    #[n(3)]
    flagged: bool,
    #[n(4)]
    until: Option<Day>,
    #[n(5)]
    ended: bool,
    #[n(6)]
    place: u64,
}

impl<C> Encode<C> for RelationRow {
    fn encode<W: minicbor::encode::Write>(
        &self,
        e: &mut minicbor::Encoder<W>,
        context: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        let fields = Fields {
            number: self.number,
            key: self.key,
            relation: self.relation_bit(),
            flagged: self.is_flagged(),
            until: self.until(),
            ended: self.has_ended(),
            place: self.place,
        };
        fields.encode(e, context)
    }
}

impl<'b, C> Decode<'b, C> for RelationRow {
    fn decode(d: &mut minicbor::Decoder<'b>, context: &mut C) -> Result<Self, minicbor::decode::Error> {
        let Fields { number, key, relation, flagged, until, ended, place } = Fields::decode(d, context)?;
        let known = Relation::ALL.iter().copied().find(|one| one.bit() == relation);
        let known = known.ok_or(minicbor::decode::Error::message("no relation has this bit"))?;
        let mut row = RelationRow::new(number, key, known, flagged, until, place);
        row.set_ended(ended);
        Ok(row)
    }
}

/// A key in CBOR: 16 bytes.
pub(super) mod key_bytes {
    use minicbor::{Decoder, Encoder};
    use xinhub_index::Key;

    pub(in super::super) fn encode<C, W: minicbor::encode::Write>(
        key: &Key,
        e: &mut Encoder<W>,
        _: &mut C,
    ) -> Result<(), minicbor::encode::Error<W::Error>> {
        e.bytes(&key.0)?;
        Ok(())
    }

    pub(in super::super) fn decode<C>(d: &mut Decoder<'_>, _: &mut C) -> Result<Key, minicbor::decode::Error> {
        d.bytes()?.try_into().map(Key).map_err(|_| minicbor::decode::Error::message("a key has 16 bytes"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn relation(number: u64, key: u8, until: Option<Day>) -> RelationRow {
        RelationRow::new(number, Key([key; 16]), Relation::Principal, key == 9, until, number << 40 | 3)
    }

    #[test]
    fn rows_are_small_and_come_back_from_cbor() {
        assert_eq!((size_of::<RelationRow>(), size_of::<PackedLink>()), (40, 22));
        for (until, ended) in [(None, false), (Some(Day(0)), true), (Some(Day(106_650)), false)] {
            let mut row = relation(7, 9, until);
            row.set_ended(ended);
            assert_eq!((row.relation(), row.is_flagged()), (Some(Relation::Principal), true));
            assert_eq!((row.until(), row.has_ended()), (until, ended));
            let bytes = minicbor::to_vec(row).unwrap();
            let mut packed = [row];
            pack(63, &[Link { key: row.key, next: 5, debtor: false, flagged: false, former: false }], &mut packed);
            assert_eq!((packed[0], packed[0].at(), packed[0].link().unwrap().next), (row, 63, 5));
            assert_eq!(minicbor::to_vec(packed[0]).unwrap(), bytes, "what the side table notes in it is not written");
            assert_eq!(minicbor::decode::<RelationRow>(&bytes).unwrap(), row);
        }
    }

    #[test]
    fn links_of_relations_alone_go_with_these_and_keep_their_order() {
        let plain =
            |key: u8| Link { key: Key([key; 16]), next: key.into(), debtor: false, flagged: false, former: false };
        let debtor = |key: u8| Link { debtor: true, ..plain(key) };
        let check = |links: &[Link], keys: &[u8], kept: usize| {
            let mut relations: Vec<_> = (1..).zip(keys).map(|(number, key)| relation(number, *key, None)).collect();
            assert_eq!(pack(1, links, &mut relations), kept, "{links:?} {keys:?}");
            let beside: Vec<_> = links[..kept].iter().map(|link| PackedLink::new(1, link).link()).collect();
            let all: Vec<_> = beside.into_iter().chain(relations.iter().filter_map(RelationRow::link)).collect();
            assert_eq!(all, links);
        };
        check(&[], &[], 0);
        check(&[], &[1], 0);
        check(&[plain(1)], &[], 1);
        check(&[plain(1)], &[1], 0);
        check(&[plain(1)], &[1, 1], 0);
        check(&[debtor(1), plain(2)], &[2, 1], 1);
        check(&[plain(2), debtor(1)], &[2, 1], 2);
        check(&[plain(1), plain(2), plain(3)], &[1, 2, 3], 0);
        check(&[plain(2), plain(1)], &[1, 2], 1);
        check(&[plain(4), plain(2)], &[1, 2], 1);
    }
}
