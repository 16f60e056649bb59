//! When lifts were complete, kept over restarts: evidence that from then on nobody was answered from before them.
//!
//! A lift is complete once every lift before it is, so the last of those seen at a moment stands for all up to it. What a crash
//! forgets is noted again, with a later time: never with one at which it was not so yet.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use minicbor::{Decode, Encode};
use parking_lot::Mutex;
use xinhub_domain::time::Timestamp;

use super::write_whole;

const FILE: &str = "completed";
/// Moments that are kept. Of a lift before the first of them that one is told, by which it was complete too.
const REMEMBERED: usize = 4_096;

/// Every lift up to this one was complete by then.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Encode, Decode)]
struct Moment {
    #[n(0)]
    lift_seq: u64,
    #[n(1)]
    time: Timestamp,
}

/// The file.
#[derive(Encode, Decode)]
struct Kept {
    /// The history that the lifts are of.
    #[n(0)]
    #[cbor(with = "minicbor::bytes")]
    epoch: [u8; 16],
    #[n(1)]
    moments: VecDeque<Moment>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Completed {
    dir: PathBuf,
    moments: Mutex<VecDeque<Moment>>,
    /// Something was noted that is not durable yet.
    changed: AtomicBool,
}

impl Completed {
    pub(super) fn new(dir: PathBuf) -> Completed {
        Completed { dir, moments: Mutex::default(), changed: AtomicBool::new(false) }
    }

    /// Takes what is kept of a history that has come to this lift. One that was set back has not come to all that was noted: that is
    /// gone for good, before other lifts have its numbers.
    pub(super) fn recall(&self, epoch: [u8; 16], lift_seq: u64) -> io::Result<()> {
        let bytes = match fs::read(self.dir.join(FILE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            read => read?,
        };
        let kept: Kept = minicbor::decode(&bytes).map_err(io::Error::other)?;
        if kept.epoch != epoch {
            return Ok(());
        }
        let mut moments = kept.moments;
        let reached = moments.partition_point(|moment| moment.lift_seq <= lift_seq);
        let was_set_back = reached < moments.len();
        moments.truncate(reached);
        *self.moments.lock() = moments;
        self.changed.store(was_set_back, Ordering::Relaxed);
        self.save_changed(epoch)
    }

    /// The last lift that is known to be complete.
    pub(super) fn last(&self) -> u64 {
        self.moments.lock().back().map_or(0, |moment| moment.lift_seq)
    }

    /// Every lift up to this one is complete now.
    pub(super) fn note(&self, lift_seq: u64, time: Timestamp) {
        let mut moments = self.moments.lock();
        if moments.back().is_some_and(|last| last.lift_seq >= lift_seq) {
            return;
        }
        moments.push_back(Moment { lift_seq, time });
        if moments.len() > REMEMBERED {
            moments.pop_front();
        }
        self.changed.store(true, Ordering::Relaxed);
    }

    /// By when a lift was complete, if it is known to be.
    pub(super) fn time(&self, lift_seq: u64) -> Option<Timestamp> {
        let moments = self.moments.lock();
        let at = moments.partition_point(|moment| moment.lift_seq < lift_seq);
        moments.get(at).map(|moment| moment.time)
    }

    /// Makes what was noted durable, if anything was.
    pub(super) fn save_changed(&self, epoch: [u8; 16]) -> io::Result<()> {
        if !self.changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let kept = Kept { epoch, moments: self.moments.lock().clone() };
        let saved = minicbor::to_vec(&kept)
            .map_err(io::Error::other)
            .and_then(|bytes| write_whole(&self.dir.join(FILE), &bytes));
        if saved.is_err() {
            self.changed.store(true, Ordering::Relaxed);
        }
        saved
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_lift_is_complete_with_the_first_that_is_seen_so_behind_it() {
        let dir = tempfile::tempdir().unwrap();
        let completed = Completed::new(dir.path().to_owned());
        assert_eq!((completed.last(), completed.time(1)), (0, None));
        for (lift_seq, time) in [(3, 30), (3, 31), (2, 32), (7, 70)] {
            completed.note(lift_seq, Timestamp(time));
        }
        let times = |of: &Completed| [1, 3, 4, 7, 8].map(|lift_seq| of.time(lift_seq).map(|time| time.0));
        assert_eq!(times(&completed), [Some(30), Some(30), Some(70), Some(70), None]);
        completed.save_changed([1; 16]).unwrap();
        let recalled = |epoch, lift_seq| {
            let again = Completed::new(dir.path().to_owned());
            again.recall(epoch, lift_seq).unwrap();
            times(&again)
        };
        assert_eq!(recalled([1; 16], 9), times(&completed));
        assert_eq!(recalled([2; 16], 9), [None; 5], "of another history");
        let set_back = [Some(30), Some(30), None, None, None];
        assert_eq!(recalled([1; 16], 6), set_back);
        assert_eq!(recalled([1; 16], 9), set_back, "it has gone on, and nothing was noted yet");
    }

    #[test]
    fn so_many_are_kept() {
        let completed = Completed::new(PathBuf::new());
        for lift_seq in 1..=REMEMBERED as u64 + 2 {
            completed.note(lift_seq, Timestamp(lift_seq as i64));
        }
        assert_eq!([1, 4].map(|lift_seq| completed.time(lift_seq)), [Some(Timestamp(3)), Some(Timestamp(4))]);
    }
}
