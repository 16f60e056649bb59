//! Calls run by their connection.
//!
//! What this module promises:
//! - A call that is answered without waiting for anything is answered within its connection's own task: no task of its own, no
//!   other thread. Requests that were read together are answered together, in as few TLS records as hold their answers, whatever the
//!   runtime's scheduler does.
//! - A call that has to wait goes on in a task of its own and holds up nobody.
//! - A call that panics ends alone.

use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use hyper::rt::Executor;
use parking_lot::Mutex;

type Stream = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The calls of one connection that nobody has polled yet. They end with it.
#[derive(Default)]
pub(super) struct Streams(Queue);

/// Where HTTP/2 hands calls over. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Mutex<Vec<Stream>>>);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Queue {
    fn execute(&self, stream: F) {
        self.0.lock().push(Box::pin(stream));
    }
}

impl Streams {
    /// For HTTP/2.
    pub(super) fn queue(&self) -> Queue {
        self.0.clone()
    }

    /// Polls each of them once, and says whether there were any. To be called until there are none, each time the connection has
    /// nothing more to read.
    pub(super) fn run(&self) -> bool {
        let streams = mem::take(&mut *self.0.0.lock());
        let any = !streams.is_empty();
        for mut stream in streams {
            // Nobody is to be woken: a stream that waits is polled once more as soon as it has a task, and tells that one.
            let mut context = Context::from_waker(Waker::noop());
            // As a task of its own would: what a panic left half done is dropped with the stream, which the client sees reset.
            match catch_unwind(AssertUnwindSafe(|| stream.as_mut().poll(&mut context))) {
                Ok(Poll::Pending) => drop(tokio::spawn(stream)),
                Ok(Poll::Ready(())) | Err(_) => {}
            }
        }
        any
    }
}

impl Drop for Streams {
    /// Each call holds the queue that it lies in: left there, they would keep each other for ever.
    fn drop(&mut self) {
        drop(mem::take(&mut *self.0.0.lock()));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn what_waits_goes_on_by_itself_and_what_panics_ends_alone() {
        let (streams, done) = (Streams::default(), Arc::new(AtomicUsize::new(0)));
        let add = |number: usize| {
            let done = Arc::clone(&done);
            async move {
                done.fetch_add(number, SeqCst);
            }
        };
        let (tell, told) = oneshot::channel::<()>();
        let waits = add(10);
        let queue = streams.queue();
        queue.execute(add(1));
        queue.execute(async { panic!("as expected by this test") });
        queue.execute(async move {
            drop(told.await);
            waits.await;
        });
        queue.execute(add(100));
        assert!(streams.run());
        assert_eq!(done.load(SeqCst), 101, "before anything else runs");
        assert!(!streams.run(), "each is polled here once");
        assert!(tell.send(()).is_ok());
        while done.load(SeqCst) < 111 {
            tokio::task::yield_now().await;
        }
    }
    #[test]
    fn what_was_never_polled_ends_with_its_connection() {
        let streams = Streams::default();
        let (queue, held) = (streams.queue(), Arc::new(()));
        queue.clone().execute({
            let held = Arc::clone(&held);
            async move { drop((held, queue)) }
        });
        drop(streams);
        assert_eq!(Arc::strong_count(&held), 1);
    }
}
