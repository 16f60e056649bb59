//! The only place that reads clocks.
//!
//! Promise: a jump of the wall clock never makes a time event happen early or late unnoticed. [`ClockGuard`] pairs wall and
//! boot time; when they part by more than a minute, or the wall clock lies behind what was already recorded, time events
//! freeze until the clocks agree again or an operator accepts the new time (decision D7).

use std::time::{SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};
use xinhub_domain::time::Timestamp;

/// How far wall and boot time may part, in milliseconds.
pub(crate) const MAX_DRIFT_MS: i64 = 60_000;

/// Wall and boot time.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Unix time.
    fn wall(&self) -> Timestamp;
    /// Milliseconds since boot, suspend included; never steps.
    fn boot_ms(&self) -> u64;
}

/// The machine's clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods)] // This is the one reader of the wall clock.
    fn wall(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn boot_ms(&self) -> u64 {
        let time = clock_gettime(ClockId::Boottime);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
    }
}

/// Why time events are frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClockFault {
    /// The wall clock stepped against boot time.
    #[error("the wall clock stepped by {by_ms} ms against boot time: synchronise it, or accept it with SIGUSR1")]
    Stepped {
        /// By how much, positive forwards.
        by_ms: i64,
    },
    /// The wall clock lies behind the last entry of the journal.
    #[error("the wall clock is {by_ms} ms behind the last recorded event: synchronise it")]
    Behind {
        /// By how much.
        by_ms: i64,
    },
}

/// Watches the two clocks against each other and against the journal.
#[derive(Debug)]
pub struct ClockGuard {
    base_wall: Timestamp,
    base_boot_ms: u64,
    /// What was recorded up to here an operator knows to be ahead of the true time: a clock behind it is none the worse.
    excused: Timestamp,
}

impl ClockGuard {
    /// Takes the clocks as they are now for agreed.
    pub fn new(clock: &dyn Clock) -> Self {
        ClockGuard { base_wall: clock.wall(), base_boot_ms: clock.boot_ms(), excused: Timestamp(i64::MIN) }
    }

    /// An operator accepts the wall clock as it is, also where it lies behind `last`, the time of the last recorded event.
    /// Holds until the hub stops.
    pub fn accept(&mut self, clock: &dyn Clock, last: Timestamp) {
        *self = ClockGuard { excused: last.max(self.excused), ..ClockGuard::new(clock) };
    }

    /// The time to decide commands by: the wall clock's, or while it has stepped, what it would show otherwise. Not
    /// behind `last`, unless an operator has accepted that.
    ///
    /// So a clock that is set years ahead and back leaves no event from the future, on which every later request would be
    /// out of date.
    pub fn hub_time(&self, clock: &dyn Clock, last: Timestamp) -> Timestamp {
        let (wall, expected) = (clock.wall(), self.expected(clock));
        let time = if (wall.0 - expected.0).abs() > MAX_DRIFT_MS { expected } else { wall };
        if last > self.excused { time.max(last) } else { time }
    }

    /// Where the wall clock would be had it not stepped.
    pub fn expected(&self, clock: &dyn Clock) -> Timestamp {
        let elapsed = clock.boot_ms().saturating_sub(self.base_boot_ms);
        Timestamp(self.base_wall.0.saturating_add(i64::try_from(elapsed).unwrap_or(i64::MAX)))
    }

    /// What is wrong with the clocks, if anything. `last` is the time of the last recorded event.
    ///
    /// A small step is slewed: what has passed unnoticed for a minute can't add up over years.
    pub fn check(&mut self, clock: &dyn Clock, last: Timestamp) -> Result<Timestamp, ClockFault> {
        let wall = clock.wall();
        let by_ms = wall.0 - self.expected(clock).0;
        if by_ms.abs() > MAX_DRIFT_MS {
            return Err(ClockFault::Stepped { by_ms });
        }
        if wall < last && last > self.excused {
            return Err(ClockFault::Behind { by_ms: last.0 - wall.0 });
        }
        self.base_wall = wall;
        self.base_boot_ms = clock.boot_ms();
        Ok(wall)
    }
}

#[doc(hidden)]
pub mod manual {
    //! A clock that tests turn by hand.

    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::{Clock, Timestamp};

    /// Stands still until it is turned.
    #[derive(Debug)]
    pub struct ManualClock {
        wall: AtomicI64,
        boot: AtomicU64,
    }

    impl ManualClock {
        /// Begins at this instant.
        pub fn at(wall: Timestamp) -> Self {
            ManualClock { wall: AtomicI64::new(wall.0), boot: AtomicU64::new(1_000_000) }
        }

        /// Time passes on both clocks.
        pub fn advance_ms(&self, ms: u64) {
            self.wall.fetch_add(i64::try_from(ms).unwrap_or(0), Ordering::SeqCst);
            self.boot.fetch_add(ms, Ordering::SeqCst);
        }

        /// Somebody sets the wall clock.
        pub fn step_ms(&self, ms: i64) {
            self.wall.fetch_add(ms, Ordering::SeqCst);
        }
    }

    impl Clock for ManualClock {
        fn wall(&self) -> Timestamp {
            Timestamp(self.wall.load(Ordering::SeqCst))
        }
        fn boot_ms(&self) -> u64 {
            self.boot.load(Ordering::SeqCst)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::manual::ManualClock;
    use super::*;

    #[test]
    fn a_step_freezes_until_it_is_undone_or_accepted() {
        let clock = ManualClock::at(Timestamp(1_000_000_000_000));
        let mut guard = ClockGuard::new(&clock);
        let start = clock.wall();
        clock.advance_ms(3_600_000);
        assert_eq!(guard.check(&clock, start), Ok(clock.wall()), "an hour passes on both");
        clock.step_ms(60_000);
        assert!(guard.check(&clock, start).is_ok(), "a minute is slewed");
        clock.step_ms(61_000);
        assert_eq!(guard.check(&clock, start), Err(ClockFault::Stepped { by_ms: 61_000 }));
        clock.step_ms(-61_000);
        assert!(guard.check(&clock, start).is_ok(), "undone");
        let before = clock.wall();
        clock.step_ms(-7_200_000);
        assert!(guard.check(&clock, start).is_err());
        assert_eq!(guard.hub_time(&clock, start), before, "what it would show had nobody set it");
        guard.accept(&clock, Timestamp(0));
        let last = Timestamp(clock.wall().0 + 5);
        assert_eq!(guard.check(&clock, last), Err(ClockFault::Behind { by_ms: 5 }));
        assert_eq!(guard.hub_time(&clock, last), last);
        guard.accept(&clock, last);
        assert_eq!(guard.check(&clock, last), Ok(clock.wall()), "accepted too");
        assert_eq!(guard.hub_time(&clock, last), clock.wall());
        assert!(guard.check(&clock, Timestamp(last.0 + 1)).is_err(), "what came later is not");
    }
}
