//! The side table: what does not fit the rows, 64 rows together.
//!
//! One listing in three has a further key or a related person. Kept each for itself, what holds these together (heads of lists,
//! counters, nodes of a tree, what an allocator adds) took twice as much as they do. A group keeps all links of its rows in one
//! list, all relations in another, by row. It is small, so that a change behind a snapshot, which shares groups, copies little.

use std::ops::Range;
use std::sync::Arc;

use super::related::{Link, PackedLink, RelationRow, pack};
use super::side::{Extra, NO_REST, Rest};

/// Rows of a group: as many as [`Group::present`] has bits, and a [`RelationRow`] has room for.
pub(super) const GROUP_ROWS: usize = 64;
/// Groups that a snapshot shares by one counter: cloning the table is cheap, and so is the first change behind it.
const GROUPS_PER_CHUNK: usize = 256;

/// [`Extra`] by row. Clones share what has not changed since.
#[derive(Clone, Debug, Default)]
pub struct Extras {
    chunks: Vec<Arc<Vec<Option<Arc<Group>>>>>,
    len: usize,
    /// Of what groups hold. Kept up to date with each change: counting would take a walk over all.
    bytes: usize,
}

#[derive(Clone, Debug, Default)]
struct Group {
    /// A bit for each row that has an entry.
    present: u64,
    links: Vec<PackedLink>,
    relations: Vec<RelationRow>,
    rests: Vec<(u8, Arc<Rest>)>,
}

/// A row's side entry, as it lies there.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// Those that no relation is kept with.
    links: &'a [PackedLink],
    /// Related people.
    pub relations: &'a [RelationRow],
    /// What few listings have.
    pub rest: &'a Rest,
}

impl<'a> Side<'a> {
    /// Every further key under which the listing is chained.
    pub fn links(&self) -> impl Iterator<Item = Link> + use<'a> {
        self.links.iter().map(PackedLink::link).chain(self.relations.iter().filter_map(RelationRow::link))
    }

    fn bytes(&self) -> usize {
        size_of_val(self.links) + size_of_val(self.relations) + self.rest.bytes()
    }
}

impl PartialEq for Side<'_> {
    /// An empty rest is none.
    fn eq(&self, other: &Side<'_>) -> bool {
        self.links().eq(other.links()) && self.relations == other.relations && self.rest == other.rest
    }
}

impl From<Side<'_>> for Extra {
    fn from(side: Side<'_>) -> Extra {
        let relations = side.relations.iter().map(RelationRow::alone).collect();
        let rest = (*side.rest != NO_REST).then(|| Arc::new(side.rest.clone()));
        Extra { links: side.links().collect(), relations, rest }
    }
}

/// Where the items of the row at `at` lie in a list by row.
fn range<T>(items: &[T], at: u8, of: impl Fn(&T) -> u8) -> Range<usize> {
    let start = items.partition_point(|item| of(item) < at);
    let count = items[start..].iter().take_while(|item| of(item) == at).count();
    start..start + count
}

/// Puts items in place of others, with no room to spare behind.
fn replace<T>(items: &mut Vec<T>, place: Range<usize>, by: impl ExactSizeIterator<Item = T>) {
    let (before, after) = (place.len(), by.len());
    items.reserve_exact(after.saturating_sub(before));
    items.splice(place, by);
    if after < before {
        items.shrink_to_fit();
    }
}

impl Group {
    fn get(&self, at: u8) -> Option<Side<'_>> {
        if self.present >> at & 1 == 0 {
            return None;
        }
        Some(Side {
            links: &self.links[range(&self.links, at, |link| link.at)],
            relations: &self.relations[range(&self.relations, at, RelationRow::at)],
            rest: self.rests.iter().find(|(of, _)| *of == at).map_or(&NO_REST, |(_, rest)| rest),
        })
    }

    fn rows(&self) -> impl Iterator<Item = u8> + use<> {
        let mut left = self.present;
        std::iter::from_fn(move || {
            let at = (left != 0).then(|| left.trailing_zeros() as u8);
            left &= left.wrapping_sub(1);
            at
        })
    }

    /// A row's entry; its rest is taken out, so that it is not copied to be changed.
    fn take(&mut self, at: u8) -> Extra {
        let rest = self.rests.iter().position(|(of, _)| *of == at).map(|place| self.rests.remove(place).1);
        let Some(side) = self.get(at) else { return Extra::default() };
        Extra { rest, ..Extra::from(side) }
    }

    /// Puts an entry in place of the one that is there, or takes that out.
    fn put(&mut self, at: u8, extra: Option<Extra>) {
        self.present = self.present & !(1 << at) | u64::from(extra.is_some()) << at;
        let Extra { links, mut relations, rest } = extra.unwrap_or_default();
        let kept = pack(at, &links, &mut relations);
        let place = range(&self.links, at, |link| link.at);
        replace(&mut self.links, place, links[..kept].iter().map(|link| PackedLink::new(at, link)));
        let place = range(&self.relations, at, RelationRow::at);
        replace(&mut self.relations, place, relations.into_iter());
        self.rests.retain(|(of, _)| *of != at);
        if let Some(rest) = rest.filter(|rest| **rest != NO_REST) {
            let place = self.rests.partition_point(|(of, _)| *of < at);
            self.rests.reserve_exact(1);
            self.rests.insert(place, (at, rest));
        }
    }
}

fn place_of(row: u32) -> (usize, usize, u8) {
    let (group, at) = (row as usize / GROUP_ROWS, row as usize % GROUP_ROWS);
    (group / GROUPS_PER_CHUNK, group % GROUPS_PER_CHUNK, at as u8)
}

impl Extras {
    /// How many rows have one.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no row has one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of what the groups of so many rows hold together, whether there are any or not.
    pub(super) fn frame_bytes(rows: usize) -> usize {
        const FRAME: usize = size_of::<Option<Arc<Group>>>() + size_of::<Group>() + 2 * size_of::<usize>();
        rows.div_ceil(GROUP_ROWS) * FRAME
    }

    /// Bytes of what groups hold. By lengths, so that a copy counts as much as what it was made of.
    pub(super) fn content_bytes(&self) -> usize {
        self.bytes
    }

    /// Of these, those of a row.
    pub(super) fn content_bytes_of(&self, row: u32) -> usize {
        self.get(row).map_or(0, |side| side.bytes())
    }

    /// A row's.
    pub fn get(&self, row: u32) -> Option<Side<'_>> {
        let (chunk, group, at) = place_of(row);
        self.chunks.get(chunk)?.get(group)?.as_ref()?.get(at)
    }

    /// The rows that have one.
    pub fn rows(&self) -> impl Iterator<Item = u32> + '_ {
        self.iter().map(|(row, _)| row)
    }

    /// All, by row.
    pub fn iter(&self) -> impl Iterator<Item = (u32, Side<'_>)> {
        let groups = (0..).step_by(GROUP_ROWS).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()));
        groups
            .filter_map(|(first, group): (u32, _)| Some((first, group.as_ref()?)))
            .flat_map(|(first, group)| group.rows().filter_map(move |at| Some((first + u32::from(at), group.get(at)?))))
    }

    /// Puts in what a snapshot holds, by row: each list grows once for all of a group.
    pub fn extend(&mut self, entries: Vec<(u32, Extra)>) {
        let mut entries = entries.into_iter().peekable();
        while let Some(first) = entries.peek().map(|(row, _)| *row) {
            let group_of = |row: u32| row as usize / GROUP_ROWS;
            let run: Vec<_> =
                std::iter::from_fn(|| entries.next_if(|(row, _)| group_of(*row) == group_of(first))).collect();
            let group = self.group(first).0;
            group.links.reserve_exact(run.iter().map(|(_, extra)| extra.links.len()).sum());
            group.relations.reserve_exact(run.iter().map(|(_, extra)| extra.relations.len()).sum());
            run.into_iter().for_each(|(row, extra)| self.put(row, Some(extra)));
            // Many lie with relations.
            self.group(first).0.links.shrink_to_fit();
        }
    }

    /// Takes a row's out.
    pub fn remove(&mut self, row: u32) {
        if self.get(row).is_some() {
            self.put(row, None);
        }
    }

    fn put(&mut self, row: u32, extra: Option<Extra>) {
        let before = self.get(row).map(|side| side.bytes());
        self.len = self.len + usize::from(extra.is_some()) - usize::from(before.is_some());
        let (group, at) = self.group(row);
        group.put(at, extra);
        self.bytes = self.bytes + self.content_bytes_of(row) - before.unwrap_or(0);
    }

    /// Changes a row's, made where missing.
    pub(super) fn change<T>(&mut self, row: u32, change: impl FnOnce(&mut Extra) -> T) -> T {
        let before = self.get(row).map(|side| side.bytes());
        let (group, at) = self.group(row);
        let mut extra = group.take(at);
        let out = change(&mut extra);
        group.put(at, Some(extra));
        self.len += usize::from(before.is_none());
        self.bytes = self.bytes + self.content_bytes_of(row) - before.unwrap_or(0);
        out
    }

    /// The group of a row, to change, and the row's place in it.
    fn group(&mut self, row: u32) -> (&mut Group, u8) {
        let (chunk, group, at) = place_of(row);
        if self.chunks.len() <= chunk {
            self.chunks.resize_with(chunk + 1, || Arc::new(vec![None; GROUPS_PER_CHUNK]));
        }
        let groups = Arc::make_mut(&mut self.chunks[chunk]);
        (Arc::make_mut(groups[group].get_or_insert_default()), at)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::collections::BTreeMap;

    use xinhub_domain::measure::Relation;
    use xinhub_domain::time::Day;
    use xinhub_index::Key;

    use super::*;

    /// Numbers that are the same each time.
    struct Draws(u64);

    impl Draws {
        fn below(&mut self, bound: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % bound
        }

        fn flag(&mut self) -> bool {
            self.below(2) == 0
        }

        fn change(&mut self, extra: &mut Extra) {
            let key = Key([self.below(5) as u8; 16]);
            match self.below(8) {
                0 | 1 if extra.links.iter().all(|link| link.key != key) => {
                    let debtor = self.flag();
                    let flagged = debtor && self.flag();
                    extra.links.push(Link { key, next: self.below(9) as u32, debtor, flagged, former: self.flag() });
                }
                2 | 3 => {
                    let (number, until) = (self.below(1 << 50), self.flag().then(|| Day(self.below(100_000) as u32)));
                    extra.relations.push(RelationRow::new(
                        number,
                        key,
                        Relation::Principal,
                        self.flag(),
                        until,
                        number,
                    ));
                    if extra.links.iter().all(|link| link.key != key) {
                        let next = self.below(9) as u32;
                        extra.links.push(Link { key, next, debtor: false, flagged: false, former: false });
                    }
                }
                4 => extra.links.iter_mut().filter(|link| link.key == key).for_each(|link| link.next += 1),
                5 => extra.relations.retain(|one| one.key != key),
                6 => extra.relations.iter_mut().for_each(|one| one.set_ended(true)),
                _ if extra.disclosed_to.is_empty() => extra.disclosed_to.push(self.below(9) as u32),
                _ => extra.disclosed_to.clear(),
            }
        }
    }

    fn check(extras: &Extras, known: &BTreeMap<u32, Extra>) {
        assert_eq!(extras.len(), known.len());
        assert_eq!(extras.rows().collect::<Vec<_>>(), known.keys().copied().collect::<Vec<_>>());
        for (row, extra) in known {
            assert_eq!(Extra::from(extras.get(*row).unwrap()), *extra, "{row}");
        }
        let bytes: usize = known.keys().map(|row| extras.content_bytes_of(*row)).sum();
        assert_eq!(extras.content_bytes(), bytes);
    }

    #[test]
    fn what_goes_in_comes_out_and_copies_stay_as_they_were() {
        let (mut extras, mut known) = (Extras::default(), BTreeMap::<u32, Extra>::new());
        let mut copies = Vec::new();
        let mut draws = Draws(7);
        for turn in 0..6_000 {
            // Three groups, and one in another chunk.
            let row = draws.below(200) as u32 + if draws.below(9) == 0 { 16_300 } else { 0 };
            if draws.below(12) == 0 {
                extras.remove(row);
                known.remove(&row);
            } else {
                let draw = draws.below(1 << 40);
                extras.change(row, |extra| Draws(draw).change(extra));
                Draws(draw).change(known.entry(row).or_default());
            }
            if turn % 500 == 0 {
                check(&extras, &known);
                copies.push((extras.clone(), known.clone()));
            }
        }
        for (extras, known) in copies {
            check(&extras, &known);
            let mut loaded = Extras::default();
            let entries: Vec<_> = known.clone().into_iter().collect();
            entries.chunks(7).for_each(|chunk| loaded.extend(chunk.to_vec()));
            check(&loaded, &known);
        }
    }
}
