//! Imports on the wire: options first, then the file in chunks; progress and faults out, the summary last. And those that wait
//! for a second person: listed, looked at, released, refused.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Status, Streaming};
use uuid::Uuid;
use xinhub_api::convert::{self, timestamp_to};
use xinhub_api::reason::{Failure, FieldFaults, Reason};
use xinhub_api::v1;
use xinhub_api::v1::import_listings_request::Part as In;
use xinhub_domain::import::{Header, ImportCounts, ImportState, ListCounts};
use xinhub_domain::listing::Actor;
use xinhub_domain::policy::{RegistryAsk, RegistryPermit};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::{Act, CommandError, Request, StagedCommand, StagedView, crypto};

use super::call::Call;
use super::commands::{self, note};
use super::door::catalogued;
use super::lookup::position_to;
use super::registry::body_of;
use super::status;
use crate::import::{Difference, DifferenceKind, FileKind, Foreseen, Options, Report, RowFault, Summary};

/// Largest chunk, in bytes.
const MAX_CHUNK_BYTES: usize = 1 << 20;
/// Chunks read ahead of the disk.
const CHUNKS_AHEAD: usize = 2;
/// Reports ahead of a caller slow to read: then the import waits.
const REPORTS_AHEAD: usize = 256;

/// Reports on their way out.
pub(super) type ImportStream<A> = ReceiverStream<Result<A, Status>>;
type Responses<A> = mpsc::Sender<Result<A, Status>>;

/// Begins to take a file. The call is recorded once it is taken or refused.
pub(super) fn start(
    call: Arc<Call>,
    incoming: Streaming<v1::ImportListingsRequest>,
) -> ImportStream<v1::ImportListingsResponse> {
    answer(call, |call, responses| async move { run(&call, incoming, &responses).await })
}

/// What waits for a second person, as it would change the listings now.
pub(super) fn preview(call: Arc<Call>, request: v1::PreviewImportRequest) -> ImportStream<v1::PreviewImportResponse> {
    answer(call, move |call, responses| async move {
        charged(&call)?;
        let staged = waiting(&call, request.import)?;
        let summary = reporting(&responses, async |reports| {
            foresee(&call, &staged, Some(&reports)).await.map(|foreseen| foreseen.summary)
        });
        let summary = summary.await?;
        call.note_token(summary.position.token());
        Ok(summary_to(&staged, &summary))
    })
}

/// Lifts what a complete list does not name, and takes its rows.
pub(super) fn confirm(call: Arc<Call>, request: v1::ConfirmImportRequest) -> ImportStream<v1::ConfirmImportResponse> {
    answer(call, |call, responses| async move { confirmed(&call, request, &responses).await })
}

/// Releases what waits, and takes its rows.
pub(super) fn approve(call: Arc<Call>, request: v1::ApproveImportRequest) -> ImportStream<v1::ApproveImportResponse> {
    answer(call, |call, responses| async move { release(&call, request, &responses).await })
}

/// Runs a method with many answers beside the call; its last one leaves once the call is recorded.
fn answer<A, F>(call: Arc<Call>, run: impl FnOnce(Arc<Call>, Responses<A>) -> F + Send + 'static) -> ImportStream<A>
where
    A: Respond,
    F: Future<Output = Result<v1::ImportSummary, Failure>> + Send,
{
    call.defer();
    let (responses, stream) = mpsc::channel(REPORTS_AHEAD);
    tokio::spawn(async move {
        let result = run(Arc::clone(&call), responses.clone()).await;
        let last = call.close(result).await.map_err(Status::from);
        // A caller that is gone asks again.
        let _ = responses.send(last.map(A::summary)).await;
    });
    ReceiverStream::new(stream)
}

/// The four answers that tell of rows.
trait Respond: Send + 'static {
    fn report(report: Report) -> Self;
    fn summary(summary: v1::ImportSummary) -> Self;
}

macro_rules! respond {
    ($($response:ident: $module:ident,)+) => {
        $(impl Respond for v1::$response {
            fn report(report: Report) -> Self {
                use v1::$module::Part;
                let part = match report {
                    Report::Progress { rows_read, rows_total } => {
                        Part::Progress(v1::ImportProgress { rows_read, rows_total })
                    }
                    Report::Fault(fault) => Part::Fault(fault_to(fault)),
                    Report::Difference(difference) => Part::Difference(difference_to(difference)),
                };
                Self { part: Some(part) }
            }

            fn summary(summary: v1::ImportSummary) -> Self {
                Self { part: Some(v1::$module::Part::Summary(summary)) }
            }
        })+
    };
}

respond! {
    ImportListingsResponse: import_listings_response,
    PreviewImportResponse: preview_import_response,
    ApproveImportResponse: approve_import_response,
    ConfirmImportResponse: confirm_import_response,
}

async fn run(
    call: &Arc<Call>,
    mut incoming: Streaming<v1::ImportListingsRequest>,
    responses: &Responses<v1::ImportListingsResponse>,
) -> Result<v1::ImportSummary, Failure> {
    let options = options(call, next(call, &mut incoming).await?)?;
    let import_id = options.import_id;
    let (chunks, file) = mpsc::channel(CHUNKS_AHEAD);
    let pump = tokio::spawn(pump(Arc::clone(call), incoming, chunks));
    let hub = call.hub();
    let policy = hub.authority.policy();
    let permits = || permit(call);
    let summary = reporting(responses, async |reports| {
        let (clock, file) = (Arc::clone(&hub.clock), ReceiverStream::new(file));
        hub.importer.run(&hub.ledger, &permits, &policy, options, clock, file, &reports).await
    })
    .await;
    pump.abort();
    let summary = summary?;
    call.note_token(summary.position.token());
    let staged = summary.staged.map(|number| waiting(call, number)).transpose()?;
    Ok(v1::ImportSummary {
        import_id: import_id.to_string(),
        staged: staged.as_ref().map(staged_to),
        ..counts_to(&summary)
    })
}

/// The right to change the court's listings, as policy is now.
fn permit(call: &Call) -> Result<RegistryPermit, Failure> {
    call.admit()?;
    call.hub().authority.permit(call.peer(), call.method(), &RegistryAsk { court: None }, call.now())
}

/// That right, charged as one check.
fn charged(call: &Call) -> Result<RegistryPermit, Failure> {
    let permit = permit(call)?;
    call.charge(permit.client())?;
    Ok(permit)
}

/// Hands on what `work` reports until it is done.
async fn reporting<A: Respond>(
    responses: &Responses<A>,
    work: impl AsyncFnOnce(mpsc::Sender<Report>) -> Result<Summary, Failure>,
) -> Result<Summary, Failure> {
    let (reports, mut told) = mpsc::channel(REPORTS_AHEAD);
    let tell = async {
        while let Some(report) = told.recv().await {
            if responses.send(Ok(A::report(report))).await.is_err() {
                // Whoever reports next learns that nobody listens.
                told.close();
            }
        }
    };
    tokio::join!(work(reports), tell).0
}

fn waiting(call: &Call, import: u64) -> Result<StagedView, Failure> {
    let found = call.hub().ledger.staged_import(&permit(call)?, import).map_err(status::command)?;
    found.ok_or_else(|| status::command(CommandError::NotFound("import that waits")))
}

async fn take_staged(
    call: &Arc<Call>,
    staged: &StagedView,
    reports: &mpsc::Sender<Report>,
) -> Result<Summary, Failure> {
    let (hub, permits) = (call.hub(), || permit(call));
    let (policy, clock) = (hub.authority.policy(), Arc::clone(&hub.clock));
    let summary = hub.importer.take_staged(&hub.ledger, &permits, &policy, staged, clock, reports).await?;
    call.note_token(summary.position.token());
    Ok(summary)
}

/// What a waiting import would come to now.
async fn foresee(
    call: &Arc<Call>,
    staged: &StagedView,
    reports: Option<&mpsc::Sender<Report>>,
) -> Result<Foreseen, Failure> {
    let (hub, permits) = (call.hub(), || permit(call));
    let (policy, clock) = (hub.authority.policy(), Arc::clone(&hub.clock));
    hub.importer.foresee_staged(&hub.ledger, &permits, &policy, staged, clock, reports).await
}

async fn confirmed(
    call: &Arc<Call>,
    mut request: v1::ConfirmImportRequest,
    responses: &Responses<v1::ConfirmImportResponse>,
) -> Result<v1::ImportSummary, Failure> {
    let import = request.import;
    charged(call)?;
    let (head, actor, ground) = confirming(&request)?;
    let staged = waiting(call, import)?;
    let Foreseen { summary: foreseen, gone } = foresee(call, &staged, None).await?;
    let list = foreseen.counts.list.unwrap_or_default();
    if list.gone > request.gone {
        let (now, seen) = (list.gone, request.gone);
        let text = format!("gone: {now} listings would be lifted, and {seen} were confirmed; preview it again");
        return Err(Failure::new(Reason::MoreGone, text));
    }
    request.mutation.iter_mut().for_each(|mutation| mutation.request_id.clear());
    let body = body_of(call.method(), &request);
    let (added, in_force) = (foreseen.counts.added, list.in_force);
    let command = StagedCommand::Confirm { import, ground: ground.clone(), gone: request.gone, added, in_force };
    submit(call, command, head.request_id, body, (head.actor, head.approver)).await?;
    let staged = waiting(call, import)?;
    let summary = reporting(responses, async |reports| {
        let (hub, permits, by) = (call.hub(), || permit(call), (&actor, &*ground));
        let (lifted, newer) = hub.importer.lift_gone(&hub.ledger, &permits, &staged, &gone, by, &reports).await?;
        let mut summary = take_staged(call, &staged, &reports).await?;
        let taken = summary.counts.list.unwrap_or_default();
        summary.counts.list = Some(ListCounts { gone: lifted, newer: list.newer + newer, in_force, ..taken });
        Ok(summary)
    });
    let summary = summary.await?;
    if staged.state == ImportState::Released {
        finish(call, &staged, summary.counts).await?;
    }
    Ok(summary_to(&staged, &summary))
}

/// Who confirms a complete list, and why what it does not name is lifted.
fn confirming(request: &v1::ConfirmImportRequest) -> Result<(convert::Mutation, Actor, String), Failure> {
    let mut faults = FieldFaults::default();
    let head = faults.take(convert::mutation(request.mutation.as_ref()));
    let ground = commands::short(&request.ground, "ground", &mut faults);
    if ground.is_empty() {
        faults.add("ground", "is missing: say why these listings are lifted, such as `performed`");
    }
    let actor = head.as_ref().and_then(|head| head.actor.clone());
    match (head, actor) {
        (Some(head), Some(actor)) if faults.is_empty() => Ok((head, actor, ground)),
        (_, _) => Err(faults.into()),
    }
}

/// Records that an import's last row was read; its copy goes.
async fn finish(call: &Arc<Call>, staged: &StagedView, counts: ImportCounts) -> Result<(), Failure> {
    let finish = StagedCommand::Finish { import: staged.number, counts };
    submit(call, finish, own_request_id(call.now()), Vec::new(), (None, None)).await?;
    call.hub().importer.forget(&staged.import);
    Ok(())
}

async fn release(
    call: &Arc<Call>,
    mut request: v1::ApproveImportRequest,
    responses: &Responses<v1::ApproveImportResponse>,
) -> Result<v1::ImportSummary, Failure> {
    let import = request.import;
    charged(call)?;
    let staged = waiting(call, import)?;
    let head = convert::mutation(request.mutation.as_ref())?;
    call.hub().importer.check(&staged.import).await?;
    // Removals first: what a break left of them takes no second person, and is not theirs to do.
    if staged.state == ImportState::Confirmed && !foresee(call, &staged, None).await?.gone.is_empty() {
        let text = "the lifts of this list broke off: confirm it once more, then approve what it adds";
        return Err(Failure::new(Reason::State, text));
    }
    request.mutation.iter_mut().for_each(|mutation| mutation.request_id.clear());
    let body = body_of(call.method(), &request);
    submit(call, StagedCommand::Release { import }, head.request_id, body, (head.actor, head.approver)).await?;
    let summary = reporting(responses, async |reports| take_staged(call, &staged, &reports).await).await?;
    finish(call, &staged, summary.counts).await?;
    Ok(summary_to(&staged, &summary))
}

/// The hub's own request, at hub time.
fn own_request_id(now: Timestamp) -> [u8; 16] {
    let ms = u64::try_from(now.0).unwrap_or_default();
    uuid::Builder::from_unix_timestamp_millis(ms, &crypto::random()).into_uuid().into_bytes()
}

/// Refuses what waits.
pub(super) async fn reject(
    call: Arc<Call>,
    mut request: v1::RejectImportRequest,
) -> Result<v1::RejectImportResponse, Failure> {
    let import = request.import;
    let mut faults = FieldFaults::default();
    let head = faults.take(convert::mutation(request.mutation.as_ref()));
    let note = note(&request.note, &mut faults);
    let Some(head) = head.filter(|_| faults.is_empty()) else { return Err(faults.into()) };
    // Sent again, it waits no more, and is answered as before.
    let staged = call.hub().ledger.staged_import(&charged(&call)?, import).map_err(status::command)?;
    request.mutation.iter_mut().for_each(|mutation| mutation.request_id.clear());
    let body = body_of(call.method(), &request);
    submit(&call, StagedCommand::Reject { import, note }, head.request_id, body, (head.actor, head.approver)).await?;
    if let Some(staged) = staged {
        call.hub().importer.forget(&staged.import);
    }
    Ok(v1::RejectImportResponse {})
}

async fn submit(
    call: &Call,
    command: StagedCommand,
    request_id: [u8; 16],
    body: Vec<u8>,
    (actor, approver): (Option<Actor>, Option<Actor>),
) -> Result<(), Failure> {
    let act = Act::Staged(permit(call)?, command);
    let outcome = call.hub().ledger.submit(Request { act, request_id, body, etag: None, actor, approver }).await;
    outcome.map(|outcome| call.note_token(outcome.position.token())).map_err(status::command)
}

/// What waits.
pub(super) async fn list(
    call: Arc<Call>,
    _request: v1::ListImportsRequest,
) -> Result<v1::ListImportsResponse, Failure> {
    let found = call.hub().ledger.staged_imports(&charged(&call)?).map_err(status::command)?;
    Ok(v1::ListImportsResponse { imports: found.iter().map(staged_to).collect() })
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
            let import_id = Uuid::from_bytes(import_id);
            Ok(Options { import_id, file, dry_run, amend, actor, released: None, complete: None })
        }
        (_, _, _) => Err(faults.into()),
    }
}

fn fault_to(fault: RowFault) -> v1::RowFault {
    v1::RowFault {
        line: fault.line,
        column: fault.column.to_owned(),
        reason: fault.reason as i32,
        message: fault.message,
    }
}

fn difference_to(difference: Difference) -> v1::ListDifference {
    let kind = match difference.kind {
        DifferenceKind::New => v1::ListDifferenceKind::New,
        DifferenceKind::Changed => v1::ListDifferenceKind::Changed,
        DifferenceKind::Differing => v1::ListDifferenceKind::Differing,
        DifferenceKind::Gone => v1::ListDifferenceKind::Gone,
        DifferenceKind::Newer => v1::ListDifferenceKind::Newer,
        DifferenceKind::Waiting => v1::ListDifferenceKind::Waiting,
    };
    let fields = difference.fields.into_iter().map(str::to_owned).collect();
    v1::ListDifference { kind: kind.into(), listing: difference.listing, line: difference.line, fields }
}

fn list_to(list: ListCounts) -> v1::ListCounts {
    let ListCounts { gone, newer, differing, waiting, in_force } = list;
    v1::ListCounts { gone, newer, differing, waiting, in_force }
}

fn counts_to(summary: &Summary) -> v1::ImportSummary {
    let ImportCounts { added, amended, unchanged, faults, warnings, list } = summary.counts;
    v1::ImportSummary {
        import_id: String::new(),
        rows: summary.rows,
        added,
        amended,
        unchanged,
        faults,
        warnings,
        dry_run: summary.dry_run,
        position: Some(position_to(summary.position)),
        finish_time: Some(timestamp_to(summary.finished_at)),
        staged: None,
        list: list.map(list_to),
    }
}

/// Of what waited: it has a number, and no id that its caller would know it by.
fn summary_to(staged: &StagedView, summary: &Summary) -> v1::ImportSummary {
    v1::ImportSummary { staged: Some(staged_to(staged)), ..counts_to(summary) }
}

fn staged_to(view: &StagedView) -> v1::StagedImport {
    let StagedView { number, state, import, sender, runs } = view;
    // The ledger keeps no other line than one that parsed.
    let header = Header::parse(&import.header).ok();
    let ImportCounts { added, amended, unchanged, faults, warnings: _, list } = import.foreseen;
    let file = match import.file {
        FileKind::Listings => v1::ImportFile::Listings,
        FileKind::Relations => v1::ImportFile::Relations,
    };
    let state = match state {
        ImportState::Staged => v1::ImportState::Staged,
        ImportState::Released => v1::ImportState::Released,
        ImportState::Confirmed => v1::ImportState::Confirmed,
        // Those that are over are not shown.
        ImportState::Taken | ImportState::Rejected | ImportState::Lapsed => v1::ImportState::Unspecified,
    };
    v1::StagedImport {
        import: *number,
        state: state.into(),
        file: file.into(),
        mode: header.as_ref().map(|header| header.mode.to_string()).unwrap_or_default(),
        signer: header.as_ref().map(|header| header.signer.clone()).unwrap_or_default(),
        as_of: header.map(|header| timestamp_to(header.as_of)),
        amend: import.amend,
        rows: import.rows,
        sha256: import.sha256.to_vec(),
        added,
        amended,
        unchanged,
        faults,
        sender: Some(v1::Actor { staff_id: sender.staff_id.clone(), post: sender.post.clone() }),
        since: runs.map(|(since, _)| since.to_string()).unwrap_or_default(),
        release_by: runs.map(|(_, due)| due.to_string()).unwrap_or_default(),
        list: list.map(list_to),
    }
}
