//! What the index says about one identity: the vocabulary that the callers share with it.

use std::fmt;
use std::ops::{BitAnd, BitOr, Deref};

/// The keyed digest of an identity, 16 bytes: `PRF(audience or hub key, key space ‖ normal form)`.
///
/// The index takes it for its own hash and spreads by its leading bits, so it must come from a PRF.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(pub [u8; 16]);

impl fmt::Debug for Key {
    /// Prints no digest: in the hands of whoever holds the audience's key it names a person.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// A set of relations that a person or organisation may have to a case. A measure compiles to one of these.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Relations(u8);

impl Relations {
    /// No relation.
    pub const NONE: Self = Self(0);
    /// The listed judgment debtor itself.
    pub const DEBTOR: Self = Self(1);
    /// Legal representative of a listed organisation.
    pub const LEGAL_REPRESENTATIVE: Self = Self(2);
    /// Principal (main person in charge) of a listed organisation.
    pub const PRINCIPAL: Self = Self(4);
    /// Actual controller of a listed organisation.
    pub const ACTUAL_CONTROLLER: Self = Self(8);
    /// Person directly responsible for a listed organisation's performance of the debt.
    pub const DIRECTLY_RESPONSIBLE: Self = Self(16);
    /// Every relation there is.
    pub const ALL: Self = Self(31);
    /// How many relations there are.
    pub const COUNT: usize = 5;

    /// The set with these bits, or `None` if a bit stands for no relation.
    pub const fn from_bits(bits: u8) -> Option<Self> {
        if bits & !Self::ALL.0 == 0 { Some(Self(bits)) } else { None }
    }

    /// The set as bits, in the order of the constants, `DEBTOR` lowest.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether the set has no relation.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every relation of `other` is in this set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// The positions (0 to 4) of the relations in the set, in the order of [`Entry::relations`].
    pub fn positions(self) -> impl Iterator<Item = usize> {
        (0..Self::COUNT).filter(move |position| self.0 >> position & 1 == 1)
    }

    /// The five lowest bits of `bits`; the packed forms guarantee that the rest belongs to somebody else.
    pub(crate) const fn truncated(bits: u64) -> Self {
        Self(bits as u8 & Self::ALL.0)
    }
}

impl BitOr for Relations {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitAnd for Relations {
    type Output = Self;
    fn bitand(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

/// Until when a relation is in force: up to 24:00, Asia/Shanghai, of a day (D7), or without a fixed term.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Until(u32);

impl Until {
    /// No fixed term: in force until something ends it. Greater than any day.
    pub const FOREVER: Self = Self((1 << Self::BITS) - 1);
    /// The last day that can be named, in the year 4840.
    pub const MAX_DAY: u32 = Self::FOREVER.0 - 1;
    /// Bits that an `Until` takes in the packed forms.
    pub(crate) const BITS: u32 = 20;

    /// In force through `day`, counted from 1970-01-01 Asia/Shanghai. `None` past [`Until::MAX_DAY`].
    pub const fn day(day: u32) -> Option<Self> {
        if day <= Self::MAX_DAY { Some(Self(day)) } else { None }
    }

    /// The last day in force, in days since 1970-01-01 Asia/Shanghai; `None` for [`Until::FOREVER`].
    pub const fn last_day(self) -> Option<u32> {
        if self.0 <= Self::MAX_DAY { Some(self.0) } else { None }
    }

    /// The Unix second at which it is no longer in force (24:00 of the last day, UTC+8); `None` for
    /// [`Until::FOREVER`].
    pub const fn ends_at_s(self) -> Option<u64> {
        const DAY_S: u64 = 86_400;
        const SHANGHAI_AHEAD_S: u64 = 8 * 3_600;
        match self.last_day() {
            Some(day) => Some((day as u64 + 1) * DAY_S - SHANGHAI_AHEAD_S),
            None => None,
        }
    }

    /// The 20 bits of the packed forms and of the snapshot.
    pub(crate) const fn code(self) -> u32 {
        self.0
    }

    /// Takes the lowest 20 bits; every value of them is an `Until`.
    pub(crate) const fn from_code(code: u64) -> Self {
        Self(code as u32 & Self::FOREVER.0)
    }
}

/// A court's leave for something that a measure would forbid, for a time (single exemption).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Exemption {
    /// First Unix second at which it holds.
    pub from_s: u64,
    /// First Unix second at which it no longer holds.
    pub until_s: u64,
    /// Which measures and items: opaque here, an id into a table that the caller keeps.
    pub scope: u64,
}

/// How many exemptions one entry may carry: it must fit one chunk of a snapshot, and a probe reads them all.
pub const MAX_EXEMPTIONS: usize = 1_024;

/// The exemptions of one entry, at most [`MAX_EXEMPTIONS`]. A value that exists can be stored.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Exemptions(Vec<Exemption>);

/// More exemptions for one identity than an entry holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("exemptions: {count} for one identity, at most {MAX_EXEMPTIONS}: drop those that are over")]
pub struct TooManyExemptions {
    /// How many there were.
    pub count: usize,
}

impl TryFrom<Vec<Exemption>> for Exemptions {
    type Error = TooManyExemptions;
    fn try_from(exemptions: Vec<Exemption>) -> Result<Self, TooManyExemptions> {
        let count = exemptions.len();
        if count > MAX_EXEMPTIONS {
            return Err(TooManyExemptions { count });
        }
        Ok(Self(exemptions))
    }
}

impl Deref for Exemptions {
    type Target = [Exemption];
    fn deref(&self) -> &[Exemption] {
        &self.0
    }
}

/// All that the index holds of one identity.
///
/// An entry without relations is allowed: the hub keeps one for a chain of listings of which none restricts yet.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Entry {
    /// Hub: 1 + the row of the first listing of the key's chain in the listing table. Replica: 0.
    pub head: u32,
    /// Until when each relation is in force, in the order of the constants of [`Relations`]; `None`: not at all.
    pub relations: [Option<Until>; Relations::COUNT],
    /// The relations that rest only on a flagged identity, which answers "unknown". Bits of relations that are
    /// not in force mean nothing and are not kept.
    pub flagged: Relations,
    /// The exemptions that were granted.
    pub exemptions: Exemptions,
}

impl Entry {
    /// An entry whose `relations` are all in force `until` the same day; no listing, flag or exemption.
    pub fn uniform(relations: Relations, until: Until) -> Self {
        let mut entry = Self::default();
        for position in relations.positions() {
            entry.relations[position] = Some(until);
        }
        entry
    }

    /// Which relations are in force.
    pub fn in_force(&self) -> Relations {
        let bits = (0..Relations::COUNT)
            .filter(|position| self.relations[*position].is_some())
            .fold(0, |bits, position| bits | 1 << position);
        Relations(bits)
    }
}

/// What [`crate::Index::probe_mask`] found: small, and without allocation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hit {
    /// The relations in force that are also in the mask; never empty.
    pub relations: Relations,
    /// Those of `relations` that rest only on a flagged identity.
    pub flagged: Relations,
    /// The earliest end among `relations`. Until then all of them are in force; past it, [`crate::Index::probe`]
    /// tells which remain.
    pub nearest_until: Until,
    /// As in [`Entry::head`].
    pub head: u32,
    /// The entry carries exemptions: fetch it whole with [`crate::Index::probe`] and decide from that alone, for
    /// the entry may have changed in between.
    pub exemptions: bool,
}
