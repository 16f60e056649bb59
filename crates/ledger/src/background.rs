//! Work that goes last on a busy machine: what is behind costs time alone.
//!
//! Where a lower priority would do harm, since somebody waits for a lock that the work holds, or for what comes behind it in line, it
//! rests instead, the longer the more those who answer had to do and to wait for a processor meanwhile ([`Pace`]).

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::thread;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// A thirtieth of the processor time of whoever is answered, while both want it.
const NICENESS: i32 = 15;

/// Lets the writer and whoever is answered go before this thread, and before those that it begins.
pub(crate) fn yield_to_others() {
    // Of this thread alone: on Linux each has its own (setpriority(2)). Lower than what it has it stays.
    let is_above = rustix::process::getpriority_process(None).is_ok_and(|niceness| niceness < NICENESS);
    if is_above && let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "a thread that should wait for others runs as urgently as they do");
    }
}

/// Does this on a thread of its own, which lets others go first, to its end also where nobody waits for it any more.
///
/// # Errors
/// Where no thread can be had, or the work ends in a panic.
pub fn run<T, W>(name: &str, work: W) -> impl Future<Output = io::Result<T>> + use<T, W>
where
    T: Send + 'static,
    W: FnOnce() -> T + Send + 'static,
{
    let (reply, done) = oneshot::channel();
    let begun = thread::Builder::new().name(name.to_owned()).spawn(move || {
        yield_to_others();
        let _ = reply.send(work());
    });
    async {
        begun?;
        done.await.map_err(|_| io::Error::other("a thread of the hub died"))
    }
}

/// So many times as long as those who answer have waited, were they busy all the time.
const REST: f64 = 6.0;
/// A step of tokio's timers.
const LEAST_REST: Duration = Duration::from_millis(1);
/// Never longer: what can wait goes on.
const LONGEST_REST: Duration = Duration::from_millis(50);

/// Of each thread that answers: how long it ran, how long it waited for a processor, in ns, and how often it ran
/// (proc(5), `schedstat`).
static ANSWERING: Mutex<Vec<File>> = Mutex::new(Vec::new());

/// Counts this thread, as long as it lives, among those that answer.
pub fn counts_as_answering() {
    match File::open("/proc/thread-self/schedstat") {
        Ok(times) => ANSWERING.lock().push(times),
        Err(error) => {
            tracing::warn!(%error, "how long answers wait for a processor can't be told: what can wait doesn't rest")
        }
    }
}

/// What those that answer have run, and waited for a processor: the mean of them.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    ran: Duration,
    waited: Duration,
}

impl Times {
    fn of_answering() -> Times {
        let mut answering = ANSWERING.lock();
        let (mut sum, mut threads) = (Times::default(), 0);
        answering.retain(|file| {
            // Of a thread that has ended nothing is read any more.
            let Some(times) = Times::read(file) else { return false };
            (sum.ran, sum.waited, threads) = (sum.ran + times.ran, sum.waited + times.waited, threads + 1);
            true
        });
        let mean = |sum: Duration| sum.checked_div(threads).unwrap_or_default();
        Times { ran: mean(sum.ran), waited: mean(sum.waited) }
    }

    fn read(file: &File) -> Option<Times> {
        // Three numbers of at most twenty digits.
        let mut bytes = [0; 64];
        let length = file.read_at(&mut bytes, 0).ok()?;
        let mut numbers = str::from_utf8(&bytes[..length]).ok()?.split_ascii_whitespace();
        let mut next = || numbers.next()?.parse().ok().map(Duration::from_nanos);
        Some(Times { ran: next()?, waited: next()? })
    }
}

/// The pace of work that can wait.
#[derive(Debug)]
pub struct Pace {
    since: Instant,
    times: Times,
}

impl Pace {
    /// From now on.
    #[allow(clippy::new_without_default)] // It reads clocks.
    pub fn new() -> Pace {
        Pace { since: Instant::now(), times: Times::of_answering() }
    }

    /// For how long to rest before the next piece of work, by what happened since the last rest, or since this was begun. What is less
    /// than a timer's step adds up until it is one.
    pub fn rest(&mut self) -> Duration {
        let now = Pace::new();
        let ran = now.times.ran.saturating_sub(self.times.ran);
        let waited = now.times.waited.saturating_sub(self.times.waited);
        let rest = rest_after(waited, ran, now.since - self.since);
        if rest < LEAST_REST {
            return Duration::ZERO;
        }
        *self = now;
        rest
    }

    /// Rests so long; whether it did.
    pub async fn pause(&mut self) -> bool {
        let rest = self.rest();
        // A timer that is due at once fires with its next step all the same.
        if !rest.is_zero() {
            tokio::time::sleep(rest).await;
        }
        !rest.is_zero()
    }
}

/// Whoever has little to do loses little by waiting.
fn rest_after(waited: Duration, ran: Duration, of: Duration) -> Duration {
    let busy = if of.is_zero() { 0.0 } else { ran.div_duration_f64(of).min(1.0) };
    waited.mul_f64(REST * busy).min(LONGEST_REST)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

    use super::*;

    #[test]
    fn rests_are_by_what_answers_have_waited_and_by_how_busy_they_are() {
        let ms = Duration::from_millis;
        assert_eq!(rest_after(ms(0), ms(10), ms(10)), ms(0));
        assert_eq!(rest_after(ms(2), ms(5), ms(10)), ms(6));
        assert_eq!(rest_after(ms(2), ms(0), ms(10)), ms(0), "nobody asks");
        assert_eq!(rest_after(ms(900), ms(100), ms(1_000)), ms(50), "what can wait goes on");
        assert_eq!(rest_after(ms(1), ms(1), ms(0)), ms(0));
    }

    /// Runs this thread, until told to stop, on one processor with every other that does.
    fn crowd(stop: &AtomicBool) {
        let mine = sched_getaffinity(None).unwrap();
        let mut first = CpuSet::new();
        first.set((0..CpuSet::MAX_CPU).find(|cpu| mine.is_set(*cpu)).unwrap());
        sched_setaffinity(None, &first).unwrap();
        while !stop.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    }

    #[test]
    fn what_can_wait_rests_when_those_that_answer_wait() {
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            let others: Vec<_> = (0..2).map(|_| scope.spawn(|| crowd(&stop))).collect();
            let mut pace = Pace::new();
            thread::sleep(Duration::from_millis(50));
            assert_eq!(pace.rest(), Duration::ZERO, "nobody of them answers");
            let answering = scope.spawn(|| {
                counts_as_answering();
                crowd(&stop);
            });
            let rested = (0..1_000).any(|_| {
                thread::sleep(Duration::from_millis(10));
                pace.rest() > Duration::ZERO
            });
            stop.store(true, Ordering::Relaxed);
            answering.join().unwrap();
            others.into_iter().for_each(|other| other.join().unwrap());
            assert!(rested);
        });
        // The kernel knows it for a moment longer.
        let is_forgotten = (0..1_000).any(|_| {
            thread::sleep(Duration::from_millis(10));
            Times::of_answering();
            ANSWERING.lock().is_empty()
        });
        assert!(is_forgotten, "a thread that has ended waits no more");
    }

    fn niceness() -> i32 {
        rustix::process::getpriority_process(None).unwrap()
    }

    #[tokio::test]
    async fn what_waits_for_others_is_that_thread_alone() {
        let here = niceness();
        let there = run("behind", niceness).await.unwrap();
        assert_eq!((niceness(), there), (here, NICENESS.max(here)));
    }

    #[tokio::test]
    async fn a_panic_is_told() {
        let died = run("behind", || -> u8 { panic!("in a test") }).await;
        assert_eq!(died.unwrap_err().to_string(), "a thread of the hub died");
    }
}
