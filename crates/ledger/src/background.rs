//! Work that goes last on a busy machine: what is behind costs time alone.

use std::io;
use std::thread;

use tokio::sync::oneshot;

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
