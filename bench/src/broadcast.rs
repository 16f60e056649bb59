//! The other side of `push`: a bare tonic broadcast on the hub's own accept loop and TLS. No list, no journal, no confirmation:
//! one message, its bytes shared by all, to whoever listens.

use std::path::PathBuf;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::broadcast;
use tokio_stream::wrappers::BroadcastStream;
use tokio_stream::{Stream, StreamExt};
use tonic::{Request, Response, Status, Streaming};
use xinhub_api::v1;
use xinhub_api::v1::sync_service_server::{SyncService, SyncServiceServer};

use crate::Result;
use crate::echo;

/// Messages that wait for a slow listener.
const AHEAD: usize = 16;
/// What a lift of one person tells: a key, and that nobody has it.
const LIFT_BYTES: usize = 18;

struct Broadcast {
    messages: broadcast::Sender<v1::FollowLiftsResponse>,
    sent: AtomicU64,
}

type Answer<T> = std::result::Result<Response<T>, Status>;
type Messages<T> = Pin<Box<dyn Stream<Item = std::result::Result<T, Status>> + Send>>;

fn bare<T>() -> Answer<T> {
    Err(Status::unimplemented("a bare broadcast"))
}

#[tonic::async_trait]
impl SyncService for Broadcast {
    type FollowLiftsStream = Messages<v1::FollowLiftsResponse>;

    async fn follow_lifts(
        &self,
        _: Request<Streaming<v1::FollowLiftsRequest>>,
    ) -> Answer<Messages<v1::FollowLiftsResponse>> {
        let opened = v1::follow_lifts_response::Message::Opened(v1::FollowLiftsOpened::default());
        let opened = v1::FollowLiftsResponse { message: Some(opened) };
        let listened = BroadcastStream::new(self.messages.subscribe());
        // Whoever is too slow for a bare broadcast loses messages: its caller ends the run then.
        let messages = listened.map(|message| message.map_err(|lost| Status::data_loss(lost.to_string())));
        Ok(Response::new(Box::pin(tokio_stream::once(Ok(opened)).chain(messages))))
    }

    /// Stands for whatever makes the hub tell its replicas something.
    async fn unsubscribe(&self, _: Request<v1::UnsubscribeRequest>) -> Answer<v1::UnsubscribeResponse> {
        let prev_lift_seq = self.sent.fetch_add(1, Ordering::Relaxed);
        let changes = vec![1; LIFT_BYTES].into();
        let lift = v1::Lift { prev_lift_seq, lift_seq: prev_lift_seq + 1, changes, ..v1::Lift::default() };
        let message = Some(v1::follow_lifts_response::Message::Lift(lift));
        // Nobody listening is no fault.
        let _ = self.messages.send(v1::FollowLiftsResponse { message });
        Ok(Response::new(v1::UnsubscribeResponse::default()))
    }

    async fn get_manifest(&self, _: Request<v1::GetManifestRequest>) -> Answer<v1::GetManifestResponse> {
        bare()
    }

    type FetchChunksStream = Messages<v1::FetchChunksResponse>;

    async fn fetch_chunks(&self, _: Request<v1::FetchChunksRequest>) -> Answer<Self::FetchChunksStream> {
        bare()
    }

    type FollowChangesStream = Messages<v1::FollowChangesResponse>;

    async fn follow_changes(
        &self,
        _: Request<Streaming<v1::FollowChangesRequest>>,
    ) -> Answer<Self::FollowChangesStream> {
        bare()
    }

    async fn get_lift_status(&self, _: Request<v1::GetLiftStatusRequest>) -> Answer<v1::GetLiftStatusResponse> {
        bare()
    }
}

/// Serves by a hub's configuration until SIGTERM.
pub(crate) async fn serve(config: PathBuf) -> Result<()> {
    let service = Broadcast { messages: broadcast::channel(AHEAD).0, sent: AtomicU64::new(0) };
    echo::serve_routes(config, tonic::service::Routes::new(SyncServiceServer::new(service))).await
}
