//! ImportListings on the wire: options first, then the file in chunks; progress and faults out, the summary last.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;
use xinhub_api::convert::{self, timestamp_to};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_api::v1::import_listings_request::Part as In;
use xinhub_api::v1::import_listings_response::Part as Out;
use xinhub_domain::policy::RegistryAsk;

use super::call::Call;
use super::door::catalogued;
use super::lookup::position_to;
use crate::import::{FileKind, Options, Report, Summary};

/// Largest chunk, in bytes.
const MAX_CHUNK_BYTES: usize = 1 << 20;
/// Chunks read ahead of the disk.
const CHUNKS_AHEAD: usize = 2;
/// Reports ahead of a caller slow to read: then the import waits.
const REPORTS_AHEAD: usize = 256;

/// Reports on their way out.
pub(super) type ImportStream = ReceiverStream<Result<v1::ImportListingsResponse, Status>>;

/// Begins to take a file. The call is recorded once it is taken or refused.
pub(super) fn start(call: Arc<Call>, incoming: Streaming<v1::ImportListingsRequest>) -> ImportStream {
    call.defer();
    let (responses, stream) = mpsc::channel(REPORTS_AHEAD);
    tokio::spawn(async move {
        let result = run(&call, incoming, &responses).await;
        let last = call.close(result).await.map_err(Status::from);
        // A caller that is gone sends the file again.
        let _ = responses.send(last.map(respond)).await;
    });
    ReceiverStream::new(stream)
}

fn respond(part: Out) -> v1::ImportListingsResponse {
    v1::ImportListingsResponse { part: Some(part) }
}

async fn run(
    call: &Arc<Call>,
    mut incoming: Streaming<v1::ImportListingsRequest>,
    responses: &mpsc::Sender<Result<v1::ImportListingsResponse, Status>>,
) -> Result<Out, Failure> {
    let options = options(call, next(call, &mut incoming).await?)?;
    let import_id = options.import_id;
    let (chunks, file) = mpsc::channel(CHUNKS_AHEAD);
    let pump = tokio::spawn(pump(Arc::clone(call), incoming, chunks));
    let hub = call.hub();
    let permits = || {
        call.admit()?;
        hub.authority.permit(call.peer(), call.method(), &RegistryAsk { court: None }, call.now())
    };
    let (reports, mut told) = mpsc::channel(REPORTS_AHEAD);
    let policy = hub.authority.policy();
    let work = async {
        let clock = Arc::clone(&hub.clock);
        let file = ReceiverStream::new(file);
        let summary = hub.importer.run(&hub.ledger, &permits, &policy, options, clock, file, &reports).await;
        drop(reports);
        summary
    };
    let tell = async {
        while let Some(report) = told.recv().await {
            if responses.send(Ok(respond(report_to(report)))).await.is_err() {
                // Whoever reports next learns that nobody listens.
                told.close();
            }
        }
    };
    let (summary, ()) = tokio::join!(work, tell);
    pump.abort();
    let summary = summary?;
    call.note_token(&summary.position.token());
    Ok(Out::Summary(summary_to(import_id, &summary)))
}

/// The next message; `None` at the end of the file.
async fn next(call: &Call, incoming: &mut Streaming<v1::ImportListingsRequest>) -> Result<Option<In>, Failure> {
    let message = tokio::select! {
        biased;
        () = call.hub().draining.cancelled() => {
            return Err(Failure::new(Reason::Draining, "this hub is stopping; send the file again, to go on"));
        }
        message = incoming.message() => message,
    };
    let broken = || Failure::new(Reason::ImportFile, "the upload broke off; send the file again");
    let message = message.map_err(|status| catalogued(status.code()).unwrap_or_else(broken))?;
    match message.map(|message| message.part) {
        None => Ok(None),
        Some(Some(part)) => Ok(Some(part)),
        Some(None) => Err(Failure::field(Reason::InvalidField, "part", "is missing: give options first, then chunks")),
    }
}

/// Hands chunks on until the file ends or something is wrong with one.
async fn pump(
    call: Arc<Call>,
    mut incoming: Streaming<v1::ImportListingsRequest>,
    chunks: mpsc::Sender<Result<Vec<u8>, Status>>,
) {
    loop {
        let chunk = match next(&call, &mut incoming).await {
            Ok(None) => return,
            Ok(Some(In::Chunk(chunk))) if chunk.len() <= MAX_CHUNK_BYTES => Ok(chunk),
            Ok(Some(In::Chunk(_))) => Err(Status::out_of_range("chunk: is at most 1 MiB")),
            Ok(Some(In::Options(_))) => Err(Status::invalid_argument("options: come first, and once")),
            Err(failure) => Err(failure.into()),
        };
        let last = chunk.is_err();
        if chunks.send(chunk).await.is_err() || last {
            return;
        }
    }
}

fn options(call: &Call, first: Option<In>) -> Result<Options, Failure> {
    let Some(In::Options(options)) = first else {
        return Err(Failure::field(Reason::InvalidField, "options", "are missing: they come first, and once"));
    };
    let mut faults = FieldFaults::default();
    let import_id = faults.take(convert::request_id(&options.import_id, "options.import_id", call.now()));
    let actor = faults.take(convert::actor(options.actor.as_ref(), "options.actor"));
    let file = match v1::ImportFile::try_from(options.file) {
        Ok(v1::ImportFile::Listings) => Some(FileKind::Listings),
        Ok(v1::ImportFile::Relations) => Some(FileKind::Relations),
        Ok(v1::ImportFile::Unspecified) | Err(_) => {
            faults.add("options.file", "is missing: say whether the rows are listings or relations");
            None
        }
    };
    match (import_id, actor, file) {
        (Some(import_id), Some(actor), Some(file)) => {
            let (dry_run, amend) = (options.dry_run, options.amend);
            Ok(Options { import_id: Uuid::from_bytes(import_id), file, dry_run, amend, actor })
        }
        (_, _, _) => Err(faults.into()),
    }
}

fn report_to(report: Report) -> Out {
    match report {
        Report::Progress { rows_read, rows_total } => Out::Progress(v1::ImportProgress { rows_read, rows_total }),
        Report::Fault(fault) => Out::Fault(v1::RowFault {
            line: fault.line,
            column: fault.column.to_owned(),
            reason: fault.reason as i32,
            message: fault.message,
        }),
    }
}

fn summary_to(import_id: Uuid, summary: &Summary) -> v1::ImportSummary {
    v1::ImportSummary {
        import_id: import_id.to_string(),
        rows: summary.rows,
        added: summary.added,
        amended: summary.amended,
        unchanged: summary.unchanged,
        faults: summary.faults,
        warnings: summary.warnings,
        dry_run: summary.dry_run,
        position: Some(position_to(summary.position)),
        finish_time: Some(timestamp_to(summary.finished_at)),
    }
}
