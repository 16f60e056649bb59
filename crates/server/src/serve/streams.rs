//! Calls run by their connection.
//!
//! What this module promises:
//! - A call that is answered without waiting for anything is answered within its connection's own task: no task of its own, no
//!   other thread. Requests that were read together are answered together, in as few TLS records as hold their answers, whatever the
//!   runtime's scheduler does.
//! - A call that has to wait for more than the rest of its request goes on in a task of its own and holds up nobody.
//! - A call that panics ends alone.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use hyper::rt::Executor;
use parking_lot::Mutex;
use tokio::time::Instant;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls of one connection that have no task of their own. They end with it.
pub(super) struct Streams {
    together: Duration,
    /// Nobody has polled them yet.
    new: Queue,
    /// Polled once. Head and message of a request often come one after the other: most of these wait for the next read.
    begun: Vec<Stream>,
}

/// Where HTTP/2 hands calls over. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Queue {
    fn execute(&self, stream: F) {
        self.0.lock().push(Box::pin(stream));
    }
}

impl Streams {
    /// `together` is how long the calls of one wake-up may take before the first of their answers leaves: those behind get tasks of
    /// their own.
    pub(super) fn new(together: Duration) -> Streams {
        Streams { together, new: Queue::default(), begun: Vec::new() }
    }

    /// For HTTP/2.
    pub(super) fn queue(&self) -> Queue {
        self.new.clone()
    }

    /// To be called first each time that the connection's task is woken, once it has read what there is: who has waited for that
    /// goes on, and who waits for something else gets a task. Says whether there were any.
    pub(super) fn go_on(&mut self, context: &mut Context<'_>) -> bool {
        let any = !self.begun.is_empty();
        let until = Instant::now() + self.together;
        for mut stream in mem::take(&mut self.begun) {
            if Instant::now() > until || poll(&mut stream, context).is_pending() {
                tokio::spawn(stream);
            }
        }
        self.begin(context) || any
    }

    /// Polls each that nobody has polled yet, and says whether there were any. To be called until there are none, each time the
    /// connection has nothing more to read.
    pub(super) fn begin(&mut self, context: &mut Context<'_>) -> bool {
        let new = mem::take(&mut *self.new.0.lock());
        let any = !new.is_empty();
        let until = Instant::now() + self.together;
        for mut stream in new {
            if Instant::now() > until {
                tokio::spawn(stream);
            } else if poll(&mut stream, context).is_pending() {
                // What it waits for wakes the connection's task.
                self.begun.push(stream);
            }
        }
        any
    }
}

/// As a task of its own would: what a panic left half done is dropped with the stream, which the client sees reset.
fn poll(stream: &mut Stream, context: &mut Context<'_>) -> Poll<()> {
    catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(context))).unwrap_or(Poll::Ready(()))
}

impl Drop for Streams {
    /// Each call holds the queue that it lies in: left there, they would keep each other for ever.
    fn drop(&mut self) {
        drop(mem::take(&mut *self.new.0.lock()));
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
    use std::task::Waker;

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_waits_goes_on_by_itself_and_what_panics_ends_alone() {
        let (mut streams, done) = (Streams::new(Duration::from_secs(60)), Arc::new(AtomicUsize::new(0)));
        let add = |number: usize| {
            let done = Arc::clone(&done);
            async move {
                done.fetch_add(number, SeqCst);
            }
        };
        let (tell, told) = oneshot::channel::<()>();
        let (tell_late, told_late) = oneshot::channel::<()>();
        let (waits, waits_long) = (add(10), add(1_000));
        let queue = streams.queue();
        queue.execute(add(1));
        queue.execute(async { panic!("as expected by this test") });
        queue.execute(async move {
            drop(told.await);
            waits.await;
        });
        queue.execute(async move {
            drop(told_late.await);
            waits_long.await;
        });
        queue.execute(add(100));
        let mut context = Context::from_waker(Waker::noop());
        assert!(streams.begin(&mut context));
        assert_eq!(done.load(SeqCst), 101, "before anything else runs");
        assert!(!streams.begin(&mut context), "nothing is new");
        assert!(tell.send(()).is_ok());
        assert!(streams.go_on(&mut context));
        assert_eq!(done.load(SeqCst), 111, "what had to wait for the next read alone");
        assert!(!streams.go_on(&mut context), "what waits longer has a task");
        assert!(tell_late.send(()).is_ok());
        while done.load(SeqCst) < 1_111 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_takes_long_holds_up_no_answer() {
        let (mut streams, done) = (Streams::new(Duration::ZERO), Arc::new(AtomicUsize::new(0)));
        for number in [1, 10, 100] {
            let done = Arc::clone(&done);
            streams.queue().execute(async move {
                // Longer than none at all.
                let began = Instant::now();
                while began.elapsed().is_zero() {}
                done.fetch_add(number, SeqCst);
            });
        }
        assert!(streams.begin(&mut Context::from_waker(Waker::noop())));
        assert!(done.load(SeqCst) < 111, "the rest has tasks");
        while done.load(SeqCst) < 111 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn what_a_call_waits_for_wakes_its_connection() {
        let mut streams = Streams::new(Duration::from_secs(60));
        let (tell, told) = oneshot::channel::<()>();
        let done = Arc::new(AtomicUsize::new(0));
        let sets = Arc::clone(&done);
        streams.queue().execute(async move {
            drop(told.await);
            sets.store(1, SeqCst);
        });
        let connection = poll_fn(|context| {
            let begun = streams.go_on(context);
            while streams.begin(context) {}
            if begun && done.load(SeqCst) == 1 { Poll::Ready(()) } else { Poll::Pending }
        });
        let (told, ()) = tokio::join!(async { tell.send(()) }, connection);
        assert!(told.is_ok());
    }

    #[test]
    fn what_was_never_polled_ends_with_its_connection() {
        let streams = Streams::new(Duration::from_secs(60));
        let (queue, held) = (streams.queue(), Arc::new(()));
        queue.clone().execute({
            let held = Arc::clone(&held);
            async move { drop((held, queue)) }
        });
        drop(streams);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
