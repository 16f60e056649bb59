//! CheckStream: many checks over one stream, answered as they are decided.
//!
//! Promises: so many checks are under way at a time and no more; a client that doesn't read its answers isn't read from;
//! each check is permitted, charged and recorded as a call of its own; the stream ends when policy no longer lets the client
//! in, and when the hub drains.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use xinhub_api::reason::{Failure, Reason};
use xinhub_api::v1::check_stream_response::Result as ItemResult;
use xinhub_api::v1::{CheckRequest, CheckResponse, CheckStreamRequest, CheckStreamResponse};

use super::call::Call;
use super::door::catalogued;
use super::lookup::check;

/// Answers on their way out.
pub(super) type CheckStream = ReceiverStream<Answer>;
type Answer = Result<CheckStreamResponse, Status>;

/// Begins to answer what comes in. `call` is the stream's own.
pub(super) fn start(call: Arc<Call>, incoming: Streaming<CheckStreamRequest>, max_checks: usize) -> CheckStream {
    let (answers, stream) = mpsc::channel(max_checks);
    tokio::spawn(run(call, incoming, answers, max_checks));
    ReceiverStream::new(stream)
}

async fn run(
    call: Arc<Call>,
    mut incoming: Streaming<CheckStreamRequest>,
    answers: mpsc::Sender<Answer>,
    max_checks: usize,
) {
    let slots = Arc::new(Semaphore::new(max_checks));
    let end = read(&call, &mut incoming, &answers, &slots).await;
    // Whoever holds all slots knows that every check under way has been answered.
    let all = u32::try_from(max_checks).unwrap_or(u32::MAX);
    let _all = slots.acquire_many(all).await;
    if let Some(failure) = end {
        let _ = answers.send(Err(failure.into())).await;
    }
}

/// Takes checks in until the client is done or gone, or may ask no more.
async fn read(
    call: &Arc<Call>,
    incoming: &mut Streaming<CheckStreamRequest>,
    answers: &mpsc::Sender<Answer>,
    slots: &Arc<Semaphore>,
) -> Option<Failure> {
    let hub = call.hub();
    let mut policy = hub.authority.changes();
    loop {
        // The semaphore is never closed.
        let slot = Arc::clone(slots).acquire_owned().await.ok()?;
        let next = loop {
            tokio::select! {
                biased;
                () = hub.draining.cancelled() => {
                    return Some(Failure::new(Reason::Draining, "this hub is stopping; connect again and go on"));
                }
                () = answers.closed() => return None,
                changed = policy.changed() => {
                    changed.ok()?;
                    if let Err(denial) = call.admit() {
                        return Some(denial);
                    }
                }
                next = incoming.message() => break next,
            }
        };
        match next {
            Ok(Some(request)) => {
                let (call, answers) = (Arc::clone(call), answers.clone());
                tokio::spawn(async move {
                    let answer = answer(&call, request).await;
                    // A client that is gone has no use for it.
                    let _ = answers.send(Ok(answer)).await;
                    drop(slot);
                });
            }
            Ok(None) => return None,
            Err(status) => return catalogued(status.code()),
        }
    }
}

async fn answer(stream: &Call, request: CheckStreamRequest) -> CheckStreamResponse {
    let result = match decide(stream, &request.check.unwrap_or_default()).await {
        Ok(response) => ItemResult::Response(response),
        Err(failure) => ItemResult::Error(failure.to_item_error()),
    };
    CheckStreamResponse { correlation_id: request.correlation_id, result: Some(result) }
}

async fn decide(stream: &Call, request: &CheckRequest) -> Result<CheckResponse, Failure> {
    check(&stream.within()?, request).await
}
