//! CheckStream: many checks over one stream, answered as they are decided.
//!
//! Promises: so many checks wait at a time and no more; a client that doesn't read its answers isn't read from; each check is
//! permitted, charged and recorded as a call of its own; the stream ends when policy no longer lets the client in, and when the
//! hub drains. What needs no waiting is decided as it is read, so that what was read together is answered together.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_stream::Stream;
use tokio_stream::wrappers::WatchStream;
use tokio_util::sync::WaitForCancellationFutureOwned;
use tonic::{Status, Streaming};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::check_stream_response::Result as ItemResult;
use xinhub_api::v1::{CheckRequest, CheckResponse, CheckStreamRequest, CheckStreamResponse};

use super::call::Call;
use super::door::catalogued;
use super::lookup::check;

type Deciding = Pin<Box<dyn Future<Output = CheckStreamResponse> + Send>>;

/// Answers on their way out.
pub(super) struct CheckStream {
    /// The stream's own.
    call: Arc<Call>,
    /// `None` once no more is read.
    incoming: Option<Streaming<CheckStreamRequest>>,
    /// Checks that wait, for the disk or for a state: each in a task of its own. They end with the stream.
    waiting: JoinSet<CheckStreamResponse>,
    max_waiting: usize,
    policy: WatchStream<()>,
    draining: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Why no more is read, where the client is to know.
    end: Option<Failure>,
}

impl CheckStream {
    /// Begins to answer what comes in. `call` is the stream's own.
    pub(super) fn new(call: Arc<Call>, incoming: Streaming<CheckStreamRequest>, max_waiting: usize) -> Self {
        let policy: watch::Receiver<()> = call.hub().authority.changes();
        let draining = Box::pin(call.hub().draining.clone().cancelled_owned());
        let policy = WatchStream::from_changes(policy);
        CheckStream {
            call,
            incoming: Some(incoming),
            waiting: JoinSet::new(),
            max_waiting,
            policy,
            draining,
            end: None,
        }
    }

    /// The next check, unless the client is done or gone, or may ask no more.
    fn poll_request(&mut self, cx: &mut Context<'_>) -> Poll<Option<CheckStreamRequest>> {
        let Some(incoming) = &mut self.incoming else { return Poll::Ready(None) };
        let end = match Pin::new(incoming).poll_next(cx) {
            Poll::Ready(Some(Ok(request))) => return Poll::Ready(Some(request)),
            Poll::Ready(Some(Err(status))) => catalogued(status.code()),
            Poll::Ready(None) => None,
            // Each check asks policy, and whether the hub drains, for itself; here it is for the stream to end without one.
            Poll::Pending => Some(ready!(self.poll_end(cx))),
        };
        self.incoming = None;
        self.end = end;
        Poll::Ready(None)
    }

    /// Why the stream has to end, once it has to.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if self.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Failure::new(Reason::Draining, "this hub is stopping; connect again and go on"));
        }
        while let Some(()) = ready!(Pin::new(&mut self.policy).poll_next(cx)) {
            if let Err(denial) = self.call.admit() {
                return Poll::Ready(denial);
            }
        }
        Poll::Pending
    }

    /// Decides a check, or lets it wait.
    fn begin(&mut self, request: CheckStreamRequest) -> Option<CheckStreamResponse> {
        let mut deciding: Deciding = Box::pin(answer(Arc::clone(&self.call), request));
        // Nobody is to be woken: a check that waits is polled once more as soon as it has a task, and tells that one.
        match deciding.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => {
                self.waiting.spawn(deciding);
                None
            }
        }
    }
}

impl Stream for CheckStream {
    type Item = Result<CheckStreamResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        loop {
            match this.waiting.poll_join_next(cx) {
                Poll::Ready(Some(Ok(answer))) => return Poll::Ready(Some(Ok(answer))),
                // A check that panicked has no answer, and left its record when it was dropped.
                Poll::Ready(Some(Err(_))) => continue,
                // Nobody looks further ahead than that.
                Poll::Pending if this.waiting.len() >= this.max_waiting => return Poll::Pending,
                Poll::Pending | Poll::Ready(None) => {}
            }
            match ready!(this.poll_request(cx)) {
                Some(request) => {
                    if let Some(answer) = this.begin(request) {
                        return Poll::Ready(Some(Ok(answer)));
                    }
                }
                // What was taken in is answered first.
                None if !this.waiting.is_empty() => return Poll::Pending,
                None => return Poll::Ready(this.end.take().map(|failure| Err(failure.into()))),
            }
        }
    }
}

async fn answer(stream: Arc<Call>, request: CheckStreamRequest) -> CheckStreamResponse {
    let result = match decide(&stream, &request.check.unwrap_or_default()).await {
        Ok(response) => ItemResult::Response(response),
        Err(failure) => ItemResult::Error(failure.to_item_error()),
    };
    CheckStreamResponse { correlation_id: request.correlation_id, result: Some(result) }
}

async fn decide(stream: &Call, request: &CheckRequest) -> Result<CheckResponse, Failure> {
    check(&stream.within()?, request).await
}
