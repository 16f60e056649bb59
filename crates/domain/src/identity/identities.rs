//! Promises that the identities of one subject are few, of one sort and all different.

use std::fmt;

use super::{Identity, KeyInput, Subject};

/// The identities that one subject carries: 1 to 4, all of a person or all of an organisation, no
/// two with the same normal form in one key space. Cards that can't be derived from each other (an
/// old and a new permanent-resident card) are aliases because they stand here together.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Identities(Vec<Identity>);

/// Why a set of identities does not describe one subject.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum IdentitiesError {
    /// None, or more than four.
    #[error("identities: {found} given, expected 1 to 4")]
    Count {
        /// How many were given.
        found: usize,
    },
    /// A person's document beside an organisation's.
    #[error("identities: some are a person's and some an organisation's; give one subject's only")]
    MixedSubjects,
    /// The same number twice.
    #[error("identities: number {index} repeats an earlier one; give each once")]
    Duplicate {
        /// Counted from 1.
        index: usize,
    },
}

impl Identities {
    /// The most identities that one subject carries.
    pub const MAX: usize = 4;

    /// Checks that `identities` describe one subject.
    ///
    /// # Errors
    ///
    /// The first reason why they don't.
    pub fn parse(identities: Vec<Identity>) -> Result<Identities, IdentitiesError> {
        let Some(first) = identities.first() else {
            return Err(IdentitiesError::Count { found: 0 });
        };
        if identities.len() > Identities::MAX {
            return Err(IdentitiesError::Count { found: identities.len() });
        }
        if identities.iter().any(|identity| identity.subject() != first.subject()) {
            return Err(IdentitiesError::MixedSubjects);
        }
        let same = |a: &Identity, b: &Identity| a.key_space() == b.key_space() && a.normal == b.normal;
        for (index, identity) in identities.iter().enumerate() {
            if identities.iter().take(index).any(|earlier| same(earlier, identity)) {
                return Err(IdentitiesError::Duplicate { index: index + 1 });
            }
        }
        Ok(Identities(identities))
    }

    /// What sort of subject they describe.
    pub fn subject(&self) -> Subject {
        self.first().subject()
    }

    /// The one given first, by which a subject is shown.
    pub fn first(&self) -> &Identity {
        &self.0[0] // Never empty: `parse` is the only way here.
    }

    /// All, in the order given.
    pub fn iter(&self) -> std::slice::Iter<'_, Identity> {
        self.0.iter()
    }

    /// All, in the order given.
    pub fn as_slice(&self) -> &[Identity] {
        &self.0
    }

    /// Every key of every identity, each once (a credit code and its own organisation code share
    /// one): at most 8.
    pub fn keys(&self) -> Vec<KeyInput> {
        let mut keys: Vec<KeyInput> = Vec::new();
        for key in self.iter().flat_map(Identity::keys) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }
}

impl<'a> IntoIterator for &'a Identities {
    type Item = &'a Identity;
    type IntoIter = std::slice::Iter<'a, Identity>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl From<Identity> for Identities {
    fn from(identity: Identity) -> Identities {
        Identities(vec![identity])
    }
}

impl fmt::Debug for Identities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(&self.0).finish()
    }
}
