//! Relations to a listing, and sets of them as bits: what an index entry holds and what a measure reaches.

use std::fmt;

use crate::closed::closed;

closed! {
    /// How someone stands to a listing. Only the debtor is listed; the others are related people, never "defaulters".
    Relation {
        /// The listed subject itself.
        Debtor = "debtor",
        /// 法定代表人 of the listed organisation.
        LegalRepresentative = "legal_representative",
        /// 主要负责人 of the listed organisation.
        Principal = "principal",
        /// 实际控制人 of the listed organisation.
        ActualController = "actual_controller",
        /// 影响债务履行的直接责任人员 of the listed organisation.
        DirectlyResponsible = "directly_responsible",
    }
}

impl Relation {
    /// The bit of this relation in a [`RelationSet`]: 1, 2, 4, 8, 16. Part of stored formats; never renumber.
    pub const fn bit(self) -> u8 {
        match self {
            Relation::Debtor => 1,
            Relation::LegalRepresentative => 2,
            Relation::Principal => 4,
            Relation::ActualController => 8,
            Relation::DirectlyResponsible => 16,
        }
    }
}

/// A set of [`Relation`]s: what a measure reaches, or what an index entry holds. A lookup is an AND of two of them.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct RelationSet(u8);

impl RelationSet {
    /// No relation.
    pub const EMPTY: RelationSet = RelationSet(0);
    /// Every relation.
    pub const ALL: RelationSet = RelationSet(0b1_1111);
    /// The debtor alone: what is looked at when an officer is looked at.
    pub const DEBTOR: RelationSet = RelationSet(Relation::Debtor.bit());

    /// The set with these bits; `None` if a bit stands for no relation.
    pub const fn from_bits(bits: u8) -> Option<RelationSet> {
        if bits & !Self::ALL.0 == 0 { Some(RelationSet(bits)) } else { None }
    }

    /// The set of one relation.
    pub const fn only(relation: Relation) -> RelationSet {
        RelationSet(relation.bit())
    }

    /// The bits, as [`Relation::bit`].
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Whether there is no relation in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether `relation` is in it.
    pub const fn contains(self, relation: Relation) -> bool {
        self.0 & relation.bit() != 0
    }

    /// Relations in both.
    pub const fn and(self, other: RelationSet) -> RelationSet {
        RelationSet(self.0 & other.0)
    }

    /// Relations in either.
    pub const fn or(self, other: RelationSet) -> RelationSet {
        RelationSet(self.0 | other.0)
    }

    /// Relations in this set and not in `other`.
    pub const fn without(self, other: RelationSet) -> RelationSet {
        RelationSet(self.0 & !other.0)
    }

    /// The relations in it, debtor first.
    pub fn iter(self) -> impl Iterator<Item = Relation> {
        Relation::ALL.iter().copied().filter(move |relation| self.contains(*relation))
    }
}

impl FromIterator<Relation> for RelationSet {
    fn from_iter<I: IntoIterator<Item = Relation>>(relations: I) -> Self {
        relations.into_iter().fold(RelationSet::EMPTY, |set, relation| set.or(RelationSet::only(relation)))
    }
}

impl fmt::Debug for RelationSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.iter()).finish()
    }
}
