//! What one audience is told, step by step: the last of it in memory, encoded once. Lifts are told on a line of their own beside the
//! one of all changes, so that none waits behind what an import brings.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use aws_lc_rs::digest::{Context, SHA256};
use parking_lot::Mutex;
use prost::bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;
use xinhub_domain::policy::{self, Reach};
use xinhub_domain::time::Timestamp;
use xinhub_index::{Entry, Relations, Until, encode_change};
use xinhub_ledger::{Audience, CommandError, KeyChange, Ledger, Mark, Touched};

use super::sum::Sum;

/// Bytes of steps that stay in memory, per audience and line, and again of those that were made for whoever is further behind.
pub(super) const MAX_RING_BYTES: usize = 4 << 20;

/// How long a step is kept that was made for whoever is further behind than the ring reaches: after a restart all come within a minute.
const KEPT: Duration = Duration::from_secs(60);

/// For how long a beat is given to all that it says the right thing to: with a signature of its own for each of a thousand replicas a
/// hub does little else. Replicas take hub time from it, and are as much behind.
const BEAT_SHARED_MS: i64 = 100;

/// What is told, and what its places are counted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Line {
    /// Lifts alone, by their number.
    Lifts,
    /// All changes, lifts included, by revision.
    Changes,
}

impl Line {
    /// Where a mark lies.
    pub(crate) fn place(self, mark: &Mark) -> u64 {
        match self {
            Line::Lifts => mark.lift_seq,
            Line::Changes => mark.revision,
        }
    }

    /// What of a stretch behind a mark is told on it.
    pub(crate) fn touched(self, ledger: &Ledger, after: Mark, events: usize) -> Result<Touched, CommandError> {
        match self {
            Line::Lifts => ledger.touched_by_lifts(after, events),
            Line::Changes => ledger.touched(after, events),
        }
    }
}

/// A stretch of the history, as an audience is told of it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    /// What it follows on.
    pub(crate) after: Mark,
    /// Where it ends.
    pub(crate) mark: Mark,
    /// Its entries are those of this revision: of its end, or beyond it.
    pub(crate) as_of: u64,
    /// Encoded once for every replica that is told, by what it holds.
    exact: Bytes,
    filter: Bytes,
}

impl Step {
    /// Encodes what has changed.
    pub(crate) fn new(after: Mark, mark: Mark, as_of: u64, changes: &[KeyChange]) -> Step {
        // Beside a filter it matters that there is an entry, and nothing of it is told.
        let some = Entry::uniform(Relations::DEBTOR, Until::FOREVER);
        let encode = |entry: &dyn Fn(&Entry) -> Entry| -> Bytes {
            let mut bytes = Vec::new();
            for KeyChange { change: (key, held), .. } in changes {
                encode_change(key, held.as_ref().map(entry).as_ref(), &mut bytes);
            }
            bytes.into()
        };
        let (exact, filter) = (encode(&Entry::clone), encode(&|_| some.clone()));
        Step { after, mark, as_of, exact, filter }
    }

    /// As a replica of this reach is told.
    pub(crate) fn told(&self, reach: Reach) -> &Bytes {
        if reach == Reach::Exact { &self.exact } else { &self.filter }
    }

    fn bytes(&self) -> usize {
        self.exact.len() + self.filter.len() + size_of::<Step>()
    }
}

/// One audience's feed.
#[derive(Debug)]
pub(crate) struct Feed {
    audience: Arc<policy::Audience>,
    key: [u8; 32],
    key_epoch: u32,
    told: Audience,
    lifts: Told,
    changes: Told,
    sum: Mutex<Sum>,
    /// The last beats, by what their readers hold.
    beats: Mutex<[Option<Beat>; 2]>,
}

/// A signed beat: what it says before and behind its time.
#[derive(Debug)]
struct Beat {
    said: (String, String),
    time: Timestamp,
    note: String,
}

/// What was told on one line.
#[derive(Debug)]
struct Told {
    line: Line,
    ring: Mutex<Ring>,
    /// The last that were made from the journal, and when. After a restart all come at once, and most are at the same place.
    made: Mutex<VecDeque<(Instant, Step)>>,
    max_ring_bytes: usize,
    end: watch::Sender<Mark>,
}

#[derive(Debug, Default)]
struct Ring {
    steps: VecDeque<Step>,
    bytes: usize,
}

impl Told {
    fn new(line: Line, mark: Mark, max_ring_bytes: usize) -> Told {
        let (ring, made) = (Mutex::default(), Mutex::default());
        Told { line, ring, made, max_ring_bytes, end: watch::channel(mark).0 }
    }

    fn tell(&self, step: Step) {
        let mark = step.mark;
        {
            let mut ring = self.ring.lock();
            ring.bytes += step.bytes();
            ring.steps.push_back(step);
            while ring.bytes > self.max_ring_bytes && ring.steps.len() > 1 {
                let gone = ring.steps.pop_front().map_or(0, |gone| gone.bytes());
                ring.bytes -= gone;
            }
        }
        self.end.send_replace(mark);
    }

    /// Keeps a step for others at the same place. One that leads nowhere is to be made anew.
    fn keep(&self, step: Step, now: Instant) {
        if step.mark == step.after {
            return;
        }
        let mut made = self.made.lock();
        made.push_back((now, step));
        let mut bytes: usize = made.iter().map(|(_, step)| step.bytes()).sum();
        while made.len() > 1
            && let Some((_, gone)) = made.pop_front_if(|(at, _)| bytes > self.max_ring_bytes || *at + KEPT <= now)
        {
            bytes -= gone.bytes();
        }
    }

    /// What was made for another at the same place.
    fn led_on(&self, after: Mark, now: Instant) -> Option<Step> {
        let made = self.made.lock();
        let usable = made.iter().rfind(|(at, step)| step.after == after && now < *at + KEPT);
        usable.map(|(_, step)| step.clone())
    }

    fn next(&self, after: Mark) -> Option<Step> {
        let (ring, place) = (self.ring.lock(), |mark: &Mark| self.line.place(mark));
        if ring.steps.front().is_none_or(|first| place(&first.after) > place(&after)) {
            return self.led_on(after, Instant::now());
        }
        let at = ring.steps.partition_point(|step| place(&step.mark) <= place(&after));
        // Entries are current ones: of a step that the mark lies within, the rest can be told as the whole.
        ring.steps.get(at).map(|step| Step { after, ..step.clone() })
    }
}

impl Feed {
    /// A feed that begins at a mark on each line; `as_of` is the revision of what keys had when it begins.
    pub(super) fn new(
        audience: Arc<policy::Audience>,
        (key, key_epoch): ([u8; 32], u32),
        told: Audience,
        (lifts, (mark, as_of)): (Mark, (Mark, u64)),
        max_ring_bytes: usize,
    ) -> Feed {
        let sum = Mutex::new(Sum::begin(mark.revision, as_of));
        let lifts = Told::new(Line::Lifts, lifts, max_ring_bytes);
        let changes = Told::new(Line::Changes, mark, max_ring_bytes);
        Feed { audience, key, key_epoch, told, lifts, changes, sum, beats: Mutex::default() }
    }

    fn on(&self, line: Line) -> &Told {
        match line {
            Line::Lifts => &self.lifts,
            Line::Changes => &self.changes,
        }
    }

    /// The audience's id.
    pub(crate) fn id(&self) -> &str {
        self.audience.id()
    }

    /// The audience as the policy names it.
    pub(crate) fn audience(&self) -> &Arc<policy::Audience> {
        &self.audience
    }

    /// The audience's index key, and its generation.
    pub(crate) fn key(&self) -> (&[u8; 32], u32) {
        (&self.key, self.key_epoch)
    }

    /// Binds what is kept on disk to the key that made it, and to the relations that it was cut to.
    pub(crate) fn key_digest(&self) -> [u8; 32] {
        let mut context = Context::new(&SHA256);
        context.update(b"xinhub audience key digest v1");
        context.update(&self.key);
        context.update(&[self.audience.relations().bits()]);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }

    /// Whom it is told of.
    pub(crate) fn told(&self) -> &Audience {
        &self.told
    }

    /// Up to where it is told.
    pub(crate) fn end(&self, line: Line) -> Mark {
        *self.on(line).end.borrow()
    }

    /// Tells of each step as it comes.
    pub(crate) fn ends(&self, line: Line) -> watch::Receiver<Mark> {
        self.on(line).end.subscribe()
    }

    /// The digest of what a replica holds that has been told everything up to a revision, and the revision; the newest that is known.
    pub(crate) fn digest(&self) -> Option<(u64, [u8; 32])> {
        self.sum.lock().known()
    }

    pub(super) fn sum(&self) -> parking_lot::MutexGuard<'_, Sum> {
        self.sum.lock()
    }

    /// The signed beat that says this at about this time.
    ///
    /// # Errors
    /// Those of `sign`.
    pub(crate) fn beat<E>(
        &self,
        reach: Reach,
        said: (String, String),
        now: Timestamp,
        sign: impl FnOnce(&str) -> Result<String, E>,
    ) -> Result<String, E> {
        let mut beats = self.beats.lock();
        let last = &mut beats[usize::from(reach == Reach::Exact)];
        if let Some(beat) = last.as_ref()
            && beat.said == said
            && (0..BEAT_SHARED_MS).contains(&(now.0 - beat.time.0))
        {
            return Ok(beat.note.clone());
        }
        let note = sign(&format!("{}time_ms {}\n{}", said.0, now.0, said.1))?;
        *last = Some(Beat { said, time: now, note: note.clone() });
        Ok(note)
    }

    pub(super) fn tell(&self, line: Line, (after, mark): (Mark, Mark), as_of: u64, changes: &[KeyChange]) {
        if line == Line::Changes {
            self.sum.lock().tell(mark.revision, as_of, changes);
        }
        self.on(line).tell(Step::new(after, mark, as_of, changes));
    }

    /// The step that leads on from a mark; `None` where there is nothing new, or nothing of it in memory.
    pub(crate) fn next(&self, line: Line, after: Mark) -> Option<Step> {
        self.on(line).next(after)
    }

    /// The step of so many events, or a few more, that leads a replica on which is further behind than memory reaches. It is kept for
    /// others at the same place.
    ///
    /// # Errors
    /// Where the journal can't be read.
    pub(crate) fn catch_up(
        &self,
        line: Line,
        ledger: &Ledger,
        after: Mark,
        events: usize,
    ) -> Result<Step, CommandError> {
        let touched = line.touched(ledger, after, events)?;
        let told = ledger.current(&touched, std::slice::from_ref(&self.told))?;
        let changes = told.changes.into_iter().next().unwrap_or_default();
        let step = Step::new(after, touched.mark, told.as_of, &changes);
        self.on(line).keep(step.clone(), Instant::now());
        Ok(step)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(revision: u64) -> Mark {
        let mut mark = Mark::default();
        mark.revision = revision;
        mark
    }

    fn step(after: u64, to: u64) -> Step {
        Step::new(mark(after), mark(to), to, &[])
    }

    fn end(step: Option<Step>) -> Option<u64> {
        step.map(|step| step.mark.revision)
    }

    #[test]
    fn what_was_made_for_one_is_there_for_others_at_the_same_place() {
        let (told, now) = (Told::new(Line::Changes, mark(10), 1 << 20), Instant::now());
        told.tell(step(10, 12));
        assert_eq!((end(told.next(mark(10))), end(told.next(mark(5)))), (Some(12), None));
        told.keep(step(5, 8), now);
        assert_eq!(end(told.next(mark(5))), Some(8));
        assert_eq!(end(told.next(mark(6))), None, "it is made of current entries, but for whoever is at 5");
        let mut other = mark(5);
        other.chain = [7; 32];
        assert_eq!(end(told.next(other)), None, "another history");
        told.keep(step(5, 9), now);
        assert_eq!(end(told.next(mark(5))), Some(9), "the newest");
        assert_eq!(end(told.next(mark(11))), Some(12));
        told.keep(step(4, 4), now);
        assert_eq!(end(told.next(mark(4))), None, "it leads nowhere");
        assert_eq!(end(told.led_on(mark(5), now + KEPT)), None, "it is to be of what is now");
        told.keep(step(6, 7), now + KEPT);
        assert_eq!(told.made.lock().len(), 1, "nothing older stays");
    }

    #[test]
    fn what_was_made_is_kept_within_bounds() {
        let (told, now) = (Told::new(Line::Changes, mark(100), 10 * size_of::<Step>()), Instant::now());
        told.tell(step(100, 101));
        (1..=20).for_each(|at| told.keep(step(at, at + 1), now));
        let kept: Vec<u64> = (1..=20).filter(|at| told.next(mark(*at)).is_some()).collect();
        assert_eq!(kept, (11..=20).collect::<Vec<_>>());
        assert_eq!(end(told.next(mark(100))), Some(101));
    }
}
