//! The only place where a replica reads clocks, in milliseconds.

use std::sync::Arc;

/// The machine's clocks; in simulations others, which are turned by hand.
#[derive(Clone, Default)]
pub(super) struct Clock(Option<Arc<Turned>>);

/// Boot and wall clock, as they stand.
pub(super) type Turned = dyn Fn() -> (u64, i64) + Send + Sync;

impl Clock {
    #[cfg(any(test, feature = "faults"))]
    pub(super) fn turned(clock: Arc<Turned>) -> Clock {
        Clock(Some(clock))
    }

    /// The clock that goes on in suspension and is set by nobody.
    pub(super) fn boot_ms(&self) -> u64 {
        if let Some(turned) = &self.0 {
            return turned().0;
        }
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        u64::try_from(time.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(time.tv_nsec).unwrap_or(0) / 1_000_000
    }

    /// The wall clock, which may be set.
    pub(super) fn wall_ms(&self) -> i64 {
        if let Some(turned) = &self.0 {
            return turned().1;
        }
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
        time.tv_sec.saturating_mul(1_000).saturating_add(time.tv_nsec / 1_000_000)
    }
}
