//! What waits for the writer: lifts before everything else, and rows of an import not in the lull behind one, which begins with what
//! becomes visible in front of it.

use std::collections::VecDeque;
use std::future::pending;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::{Job, Stopped};

/// For so long behind a lift no rows of an import are begun: the processors are for those who are told of it. Each row waits for one
/// lull, however many lifts there are, so that an import goes on.
pub(crate) const LULL: Duration = Duration::from_millis(50);
/// Jobs that wait on each side before whoever brings more has to wait; beside them the rows that are held, two batches of an import.
const SIDE: usize = 1_024;

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Queue {
    lifts: mpsc::Receiver<Job>,
    /// The first of them, looked at and left.
    left: Option<Job>,
    others: mpsc::Receiver<Job>,
    /// Rows of imports that came in a lull, in their order, each with its end.
    held: VecDeque<(Instant, Job)>,
    /// The last job that was taken is a lift.
    lift_at_hand: bool,
}

impl Queue {
    /// With the ends for lifts, and for all else.
    pub(crate) fn new() -> (mpsc::Sender<Job>, mpsc::Sender<Job>, Queue) {
        let ((lifts, lift_queue), (others, other_queue)) = (mpsc::channel(SIDE), mpsc::channel(SIDE));
        let queue =
            Queue { lifts: lift_queue, left: None, others: other_queue, held: VecDeque::new(), lift_at_hand: false };
        (lifts, others, queue)
    }

    /// Waits for a job, or until [`Queue::waiting`] may have one; an error once every handle is gone. `lull` is the end of the last
    /// lull. Nothing is lost where it is dropped.
    pub(super) async fn next(&mut self, lull: Option<Instant>) -> Result<Option<Job>, Stopped> {
        if let Some(lift) = self.waiting_lift() {
            return Ok(Some(lift));
        }
        let held_until = self.held.front().map(|(until, _)| *until);
        let held_long_enough = async {
            match held_until {
                Some(until) => sleep_until(until).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            lift = self.lifts.recv() => {
                self.lift_at_hand = true;
                lift.map(Some).ok_or(Stopped)
            }
            () = held_long_enough => Ok(None),
            other = self.others.recv() => Ok(self.unless_held(other.ok_or(Stopped)?, lull)),
        }
    }

    /// Whether somebody is to be lifted: the job that was taken last does, or one that waits.
    pub(super) fn has_lift(&self) -> bool {
        self.lift_at_hand || self.left.is_some() || !self.lifts.is_empty()
    }

    /// A job that waits already: lifts first, then what was held for long enough.
    pub(super) fn waiting(&mut self, lull: Option<Instant>) -> Option<Job> {
        if let Some(lift) = self.waiting_lift() {
            return Some(lift);
        }
        if let Some((_, job)) = self.held.pop_front_if(|(until, _)| *until <= Instant::now()) {
            return Some(job);
        }
        loop {
            let job = self.others.try_recv().ok()?;
            if let Some(job) = self.unless_held(job, lull) {
                return Some(job);
            }
        }
    }

    /// A lift that waits already.
    pub(super) fn waiting_lift(&mut self) -> Option<Job> {
        let lift = self.left.take().or_else(|| self.lifts.try_recv().ok());
        self.lift_at_hand = lift.is_some();
        lift
    }

    /// The job that was taken last, unless it lifts: then it waits again, before all others.
    pub(super) fn unless_lift(&mut self, job: Job) -> Option<Job> {
        if !self.lift_at_hand {
            return Some(job);
        }
        self.leave(job);
        None
    }

    /// The lift that was taken last is visible, or refused.
    pub(super) fn lift_is_done(&mut self) {
        self.lift_at_hand = false;
    }

    /// Puts the lift that was taken last back.
    pub(super) fn leave(&mut self, lift: Job) {
        debug_assert!(self.left.is_none(), "it was taken before any other");
        (self.left, self.lift_at_hand) = (Some(lift), false);
    }

    /// The job, unless it brings rows of an import in a lull, or behind such that are held.
    pub(super) fn unless_held(&mut self, job: Job, lull: Option<Instant>) -> Option<Job> {
        let lull = lull.filter(|until| *until > Instant::now());
        let can_wait = matches!(&job, Job::Import(_, import, _) if !import.is_lift());
        match lull.or(self.held.back().map(|(until, _)| *until)) {
            Some(until) if can_wait => {
                self.held.push_back((until, job));
                None
            }
            _ => Some(job),
        }
    }

    /// Takes nothing more; what waits still.
    pub(super) fn close(&mut self) -> impl Iterator<Item = Job> {
        self.lifts.close();
        self.others.close();
        let lifts = self.left.take().into_iter().chain(std::iter::from_fn(|| self.lifts.try_recv().ok()));
        let others = std::iter::from_fn(|| self.others.try_recv().ok());
        lifts.chain(self.held.drain(..).map(|(_, job)| job)).chain(others)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;
    use crate::command::{ImportBatch, ImportRow};
    use crate::testing::{actor, content, court, draft, organisation, start};

    const HOUR: Duration = Duration::from_secs(3_600);

    /// Rows, told apart by whose they are.
    fn rows(clerk: &str) -> Job {
        let batch = ImportBatch {
            actor: actor(clerk),
            dry_run: false,
            amend: false,
            as_of: start(),
            released: None,
            complete: None,
            rows: vec![ImportRow::Listing(content(&draft(organisation(1), 1)))],
        };
        Job::Import(court("court-one"), batch, oneshot::channel().0)
    }

    fn name(job: Job) -> String {
        match job {
            Job::Import(_, batch, _) => batch.actor.staff_id,
            other => format!("{other:?}"),
        }
    }

    fn waiting(queue: &mut Queue, lull: Option<Instant>) -> Vec<String> {
        std::iter::from_fn(|| queue.waiting(lull)).map(name).collect()
    }

    #[tokio::test]
    async fn behind_a_lift_rows_wait_for_one_lull_and_all_else_goes_on() {
        let (lifts, others, mut queue) = Queue::new();
        for job in [rows("one"), Job::AcceptClock, rows("two")] {
            others.send(job).await.unwrap();
        }
        let lull = Instant::now() + Duration::from_secs(1);
        assert_eq!(waiting(&mut queue, Some(lull)), ["AcceptClock"]);
        assert!(!queue.has_lift());
        lifts.send(rows("lift")).await.unwrap();
        assert!(queue.has_lift());
        assert_eq!(queue.next(Some(lull)).await.unwrap().map(name).as_deref(), Some("lift"));
        assert!(queue.has_lift(), "it is worked on");
        // There are lifts all the time.
        assert!(queue.next(Some(lull + HOUR)).await.unwrap().is_none());
        assert!(Instant::now() >= lull && !queue.has_lift());
        others.send(rows("three")).await.unwrap();
        assert_eq!(waiting(&mut queue, Some(lull + HOUR)), ["one", "two"]);
        assert_eq!(waiting(&mut queue, None), [""; 0], "its own lull is not over");
    }

    #[tokio::test]
    async fn rows_stay_behind_those_that_came_before() {
        let (_lifts, others, mut queue) = Queue::new();
        others.send(rows("one")).await.unwrap();
        assert_eq!(waiting(&mut queue, Some(Instant::now() + HOUR)), [""; 0]);
        others.send(rows("two")).await.unwrap();
        assert_eq!(waiting(&mut queue, None), [""; 0]);
        others.send(rows("three")).await.unwrap();
        assert_eq!(queue.close().map(name).collect::<Vec<_>>(), ["one", "two", "three"]);
        assert!(others.send(rows("four")).await.is_err());
    }

    #[tokio::test]
    async fn a_lull_that_is_over_holds_nothing() {
        let (_lifts, others, mut queue) = Queue::new();
        others.send(rows("one")).await.unwrap();
        assert_eq!(waiting(&mut queue, Some(Instant::now())), ["one"]);
    }
}
