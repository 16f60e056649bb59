//! The loop that keeps a replica where the hub is: it carries what [`super::session`] decides.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tokio_stream::wrappers::ReceiverStream;
use xinhub_api::v1;

use super::session::{self, Changes, End, Fetch, Lifts, Opened, RETRY_MOST, Tries, show};
use super::{Shared, store};
use crate::{Config, Error, Hub};

/// How long answers of one's own wait for others before they are reported, and how many go in one report.
const REPORT_EVERY: Duration = Duration::from_secs(5);
const REPORT_ENTRIES: usize = 500;
/// How often what is held is written to the directory.
const SAVE_EVERY: Duration = Duration::from_secs(600);
/// How long a lift that came waits to be confirmed, together with those that follow it: the hub tells everybody else first.
const CONFIRM_AFTER: Duration = Duration::from_millis(50);
/// How soon the hub is asked again whether this is all, until it has said so once: changes may come behind its first answer.
const UNTIL_SYNCED: Duration = Duration::from_millis(100);
/// Messages to the hub that wait for the connection.
const AHEAD: usize = 16;

/// Follows for ever.
pub(super) async fn run(shared: Arc<Shared>, config: Config) {
    let mut tries = Tries::new();
    loop {
        let began = Instant::now();
        let end = follow(&shared, &config).await.unwrap_or_else(|end| end);
        let Some(within) = tries.after(&shared, began.elapsed(), end) else { return };
        tokio::select! {
            () = stopped(&shared) => return,
            () = sleep(chance(within)) => {}
        }
    }
}

/// Resolves once the replica is to end.
async fn stopped(shared: &Shared) {
    let mut stop = shared.stop.subscribe();
    // The sender lives as long as this.
    let _ = stop.wait_for(|stop| *stop).await;
}

/// Half of a time, and by chance up to the whole.
fn chance(most: Duration) -> Duration {
    // The second half of a UUIDv7 is random (RFC 9562, section 5.7).
    let (_, low) = uuid::Uuid::now_v7().as_u64_pair();
    let share = u32::try_from(low % 1_000).unwrap_or(0);
    most / 2 + most / 2_000 * share
}

async fn follow(shared: &Arc<Shared>, config: &Config) -> Result<End, End> {
    let (lifts, changes) = begin(shared, config).await?;
    let Opened { lifts: lifted, open_lifts, changes: changed, open_changes } = session::follow(shared)?;
    // One without the other would let the replica drift: they end together.
    tokio::select! {
        end = follow_lifts(shared, &lifts, lifted, open_lifts) => end,
        end = follow_changes(&changes, changed, open_changes) => end,
        end = save_regularly(shared) => end,
        end = report(shared, &changes) => end,
    }
}

/// Reads or writes the disk, which no thread that carries messages waits for.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, End> + Send + 'static) -> Result<T, End> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(End::Lost(Error::Config(error.to_string()))))
}

/// Connects twice, and holds a list to lead on from.
async fn begin(shared: &Arc<Shared>, config: &Config) -> Result<(Hub, Hub), End> {
    let (lifts, changes) = (Hub::connect(config.clone()).await?, Hub::connect(config.clone()).await?);
    let request = v1::GetManifestRequest { instance_id: shared.instance.to_vec(), reach: shared.reach as i32 };
    let manifest = changes.sync().get_manifest(request).await?;
    let this = Arc::clone(shared);
    let fetch = blocking(move || {
        // Before anything is held: an answer has its place in them.
        session::records(&this, &manifest)?.keep()?;
        session::begin(&this, manifest)
    });
    if let Some(fetch) = fetch.await? {
        fetch_all(&changes, fetch).await?;
    }
    prove_aside(shared);
    Ok((lifts, changes))
}

/// Sums up what was loaded on a thread of its own, for which nobody waits, also not at the end of the process.
fn prove_aside(shared: &Arc<Shared>) {
    let this = Arc::downgrade(shared);
    let prove = move || {
        if let Err(broken) = store::prove(&this)
            && let Some(shared) = this.upgrade()
        {
            tracing::error!(%broken, "what was loaded is not what it had to be");
            // The next beat ends the session.
            shared.end_lease();
        }
    };
    if let Err(error) = std::thread::Builder::new().name("xinhub-digest".to_owned()).spawn(prove) {
        tracing::warn!(%error, "what was loaded is not compared with what the hub has told");
    }
}

async fn fetch_all(hub: &Hub, mut fetch: Fetch) -> Result<(), End> {
    if let Some(request) = fetch.request() {
        let mut chunks = hub.sync().fetch_chunks(request).await?;
        while let Some(chunk) = chunks.next().await? {
            fetch.take(&chunk)?;
        }
    }
    blocking(move || fetch.end()).await
}

/// Tells the hub what was answered here, for ever.
async fn report(shared: &Arc<Shared>, hub: &Hub) -> Result<End, End> {
    let Some(records) = shared.records.load_full() else { return Ok(End::Resync(Duration::ZERO)) };
    let mut durable = records.durable();
    loop {
        durable.borrow_and_update();
        while let entries @ [_, ..] = &*records.unreported(REPORT_ENTRIES) {
            let request = v1::ReportAnswersRequest { instance_id: shared.instance.to_vec(), entries: entries.to_vec() };
            match hub.audit().report_answers(request).await {
                Ok(response) => records.reported(response.sequence),
                Err(error) => {
                    // It is kept, and reported again; what is followed goes on.
                    tracing::warn!(%error, "the hub did not take what the replica has answered");
                    break;
                }
            }
        }
        show(shared);
        let stops = *shared.stop.borrow();
        if stops && records.unreported(1).is_empty() {
            std::future::pending::<()>().await;
        }
        let more = async {
            // The sender lives as long as the records.
            let _ = durable.changed().await;
            sleep(REPORT_EVERY).await;
        };
        tokio::select! {
            // What is left is reported at once.
            () = stopped(shared), if !stops => {}
            () = tokio::time::sleep(RETRY_MOST) => {}
            () = more => {}
        }
    }
}

async fn save_regularly(shared: &Arc<Shared>) -> Result<End, End> {
    loop {
        sleep(SAVE_EVERY).await;
        session::is_worth_keeping(shared)?;
        let this = Arc::clone(shared);
        if let Ok(Err(error)) = tokio::task::spawn_blocking(move || store::save(&this)).await {
            tracing::warn!(%error, "the replica is not on disk: the next start fetches it anew");
        }
    }
}

async fn follow_lifts(shared: &Shared, hub: &Hub, mut lifts: Lifts, open: v1::FollowLiftsRequest) -> Result<End, End> {
    let (out, requests) = mpsc::channel(AHEAD);
    out.send(open).await.map_err(|_| End::ended())?;
    let mut stream = hub.sync().follow_lifts(ReceiverStream::new(requests)).await?;
    let mut every = interval(Duration::from_millis(lifts.beat_ms()));
    every.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut came = Instant::now();
    loop {
        let place = async {
            sleep_until(came + CONFIRM_AFTER).await;
            out.reserve().await
        };
        let message = tokio::select! {
            biased;
            place = place, if lifts.confirms() => {
                let place = place.map_err(|_| End::ended())?;
                if let Some(confirmation) = lifts.confirmation() {
                    place.send(confirmation);
                }
                continue;
            }
            () = reported(shared) => break,
            _ = every.tick() => {
                lifts.is_alive()?;
                // Where there is no room it would wait, and the lease counts from its sending.
                if let Ok(place) = out.try_reserve() {
                    place.send(lifts.ping());
                }
                if !lifts.is_synced() {
                    every.reset_after(UNTIL_SYNCED);
                }
                continue;
            }
            message = stream.next() => message?.ok_or_else(End::ended)?,
        };
        // One that waits already is not put off.
        if !lifts.confirms() {
            came = Instant::now();
        }
        let lifted = lifts.take(message)?;
        if let (Some(lifted), Some(call)) = (lifted, &shared.on_lift) {
            // Where there is room it is confirmed first: what is called may take its time.
            if let Ok(place) = out.try_reserve()
                && let Some(confirmation) = lifts.confirmation()
            {
                place.send(confirmation);
            }
            // What the caller's code does wrong ends nothing here.
            if catch_unwind(AssertUnwindSafe(|| call(lifted))).is_err() {
                tracing::error!("what is called at a lift has panicked");
            }
        }
    }
    if let Some(confirmation) = lifts.confirmation() {
        // Where the hub is gone, the lift waits for the lease.
        let _ = out.send(confirmation).await;
    }
    // What was confirmed is on its way: the hub has read it all once it ends the stream itself.
    drop(out);
    while let Ok(Some(_)) = stream.next().await {}
    Ok(End::Stopped)
}

/// Resolves once the replica is to end, and the hub has all that it has answered.
async fn reported(shared: &Shared) {
    stopped(shared).await;
    while shared.records.load().as_ref().is_some_and(|records| !records.unreported(1).is_empty()) {
        sleep(Duration::from_millis(20)).await;
    }
}

async fn follow_changes(hub: &Hub, mut changes: Changes, open: v1::FollowChangesRequest) -> Result<End, End> {
    let (out, requests) = mpsc::channel(AHEAD);
    out.send(open).await.map_err(|_| End::ended())?;
    let mut stream = hub.sync().follow_changes(ReceiverStream::new(requests)).await?;
    loop {
        let message = tokio::select! {
            place = out.reserve(), if changes.confirms() => {
                let place = place.map_err(|_| End::ended())?;
                if let Some(confirmation) = changes.confirmation() {
                    place.send(confirmation);
                }
                continue;
            }
            message = stream.next() => message?.ok_or_else(End::ended)?,
        };
        changes.take(message)?;
    }
}
