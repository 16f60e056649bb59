//! `xinhub sync`, `xinhub watch`, `xinhub replica check`, `xinhub lifts`: a replica of one's audience, what it hears and answers,
//! and how far a lift has come.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use tokio::sync::mpsc;
use xinhub_client::{Lifted, Replica, ReplicaConfig, ReplicaState, v1};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::check::{self, CheckArgs};
use crate::codes;
use crate::exit::{Exit, Failure};
use crate::inquiry::{Token, token};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::Session;
use crate::shapes;

/// Events that wait to be shown.
const AHEAD: usize = 1_024;
/// Of the columns of what is watched.
const WIDTHS: [u16; 7] = [8, 12, 10, 12, 10, 12, 0];

/// A replica, and where it keeps itself.
#[derive(Debug, Args)]
struct PlaceArgs {
    /// The replica's own directory; made where it is missing
    dir: PathBuf,
    /// What it holds: a filter that says who is clear, or the exact list; a filter if not given, unless the exact list alone is granted. A
    /// directory that holds another sort is filled anew
    #[arg(long, value_name = "REACH", value_parser = codes::parser::<v1::ReplicaReach>())]
    reach: Option<v1::ReplicaReach>,
}

impl PlaceArgs {
    fn config(self) -> ReplicaConfig {
        ReplicaConfig::new(self.dir).reach(self.reach.unwrap_or_default())
    }
}

/// Fill or refresh a replica of your audience's list in a directory, and end
///
/// A directory that was filled before is led on from where it stands; an interrupted transfer goes on where it broke off.
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Keep a replica where the hub is, and show lifts and changes as they come; end with Ctrl-C
///
/// Each lift is applied, confirmed to the hub, and shown as a number: neither the hub nor this command says whom it frees.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    place: PlaceArgs,
    /// End after so many lifts
    #[arg(long, value_name = "COUNT")]
    lifts: Option<u64>,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Ask a replica
#[derive(Debug, Args)]
pub(crate) struct ReplicaArgs {
    #[command(subcommand)]
    command: ReplicaCommand,
}

#[derive(Debug, Subcommand)]
enum ReplicaCommand {
    /// Bring a replica up to date, ask it as `check` asks the hub, and end
    ///
    /// What it can't say by itself it asks of the hub; who has answered is shown. What it says against somebody is on record with
    /// the hub before this ends. Exit codes as for `check`.
    Check {
        #[command(flatten)]
        place: PlaceArgs,
        #[command(flatten)]
        check: CheckArgs,
    },
}

/// Show how far a lift has come: which replicas have confirmed it, and whether it is complete (courts, operators, auditors)
#[derive(Debug, Args)]
pub(crate) struct LiftsArgs {
    /// `position.token` of the lift's outcome, in hex as JSON output shows it
    #[arg(value_name = "TOKEN", value_parser = token)]
    position: Token,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// How a replica is.
#[derive(Serialize)]
pub(crate) struct State {
    event: &'static str,
    synced: bool,
    revision: u64,
    token: String,
    lift_seq: u64,
    entries: u64,
    lag: u64,
    age_ms: u64,
    lease_ms: u64,
    alarms: u64,
    trouble: Option<String>,
}

impl From<&ReplicaState> for State {
    fn from(state: &ReplicaState) -> State {
        let ms = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        State {
            event: "state",
            synced: state.synced,
            revision: state.revision,
            token: shapes::hex(&state.token()),
            lift_seq: state.lift_seq,
            entries: state.entries,
            lag: state.lag(),
            age_ms: if state.synced { ms(state.age()) } else { 0 },
            lease_ms: ms(state.lease()),
            alarms: state.alarms,
            trouble: state.trouble.clone(),
        }
    }
}

/// A lift that a replica has applied and confirmed.
#[derive(Serialize)]
pub(crate) struct Lift {
    event: &'static str,
    lift_seq: u64,
    revision: u64,
    keys: usize,
}

impl From<Lifted> for Lift {
    fn from(lifted: Lifted) -> Lift {
        let Lifted { lift_seq, revision, keys } = lifted;
        Lift { event: "lift", lift_seq, revision, keys }
    }
}

/// How far a lift has come.
#[derive(Serialize)]
pub(crate) struct Standing {
    subscribers: u32,
    acknowledged: u32,
    lease_run_out: u32,
    pending: u32,
    complete: bool,
    complete_time: Option<String>,
}

impl From<v1::GetLiftStatusResponse> for Standing {
    fn from(seen: v1::GetLiftStatusResponse) -> Standing {
        Standing {
            subscribers: seen.subscribers,
            acknowledged: seen.acknowledged,
            lease_run_out: seen.lease_run_out,
            pending: seen.pending,
            complete: seen.complete,
            complete_time: shapes::time(seen.complete_time),
        }
    }
}

pub(crate) async fn sync(args: SyncArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let hub = Session::resolve(global, &args.connect)?.connect().await?;
    let replica = Replica::open(&hub, args.place.config())?;
    synced(&replica, out.lang, false).await;
    let state = replica.state();
    replica.close().await?;
    show(&state, out)?;
    Ok(Exit::Success)
}

/// Waits until a replica holds the list, or, where it need not, until it is in trouble; shows meanwhile how far it is.
async fn synced(replica: &Replica, lang: Lang, or_in_trouble: bool) {
    let bar = ProgressBar::no_length();
    // A template that does not parse leaves the default one.
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} {bytes}/{total_bytes} {eta}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    let mut states = replica.watch();
    loop {
        let state = states.borrow_and_update().clone();
        if state.synced || (or_in_trouble && state.trouble.is_some()) {
            break;
        }
        bar.set_length(state.snapshot_bytes);
        bar.set_position(state.fetched_bytes);
        bar.set_message(state.trouble.unwrap_or_else(|| lang.pick("fetching the list", "正在同步").to_owned()));
        if states.changed().await.is_err() {
            break;
        }
    }
    bar.finish_and_clear();
}

pub(crate) async fn run(args: ReplicaArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let ReplicaCommand::Check { place, check } = args.command;
    out.refuse_csv()?;
    let session = Session::resolve(global, &check.connect)?;
    let request = check.request()?;
    let hub = session.connect().await?;
    let replica = Replica::open(&hub, place.config())?;
    // One that gets no list asks the hub, which says why where it refuses.
    synced(&replica, out.lang, true).await;
    let answered = replica.check_recorded(request).await;
    // What it answered is reported before anybody reads it.
    replica.close().await?;
    let answered = answered?;
    check::show(answered.response, Some(answered.by), out)
}

fn show(state: &ReplicaState, out: &mut Out) -> Result<(), Failure> {
    let shape = State::from(state);
    let name = |en: &'static str, zh: &'static str| out.lang.pick(en, zh);
    let lines = vec![
        (name("synced", "已同步"), if shape.synced { name("yes", "是") } else { "" }.to_owned()),
        (name("revision", "修订号"), shape.revision.to_string()),
        (name("lifts", "解除次数"), shape.lift_seq.to_string()),
        (name("entries", "条目数"), shape.entries.to_string()),
        (name("token", "令牌"), shape.token.clone()),
        (name("trouble", "故障"), shape.trouble.clone().unwrap_or_default()),
    ];
    out.record(&shape, || lines)
}

/// What is shown.
enum Event {
    State(ReplicaState),
    Lift(Lifted),
}

pub(crate) async fn watch(args: WatchArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let hub = Session::resolve(global, &args.connect)?.connect().await?;
    let (events, mut shown) = mpsc::channel(AHEAD);
    let lifted = events.clone();
    let config = args.place.config().on_lift(move |lift| {
        // A terminal that does not keep up misses lines, and the replica nothing.
        let _ = lifted.try_send(Event::Lift(lift));
    });
    let replica = Replica::open(&hub, config)?;
    let mut states = replica.watch();
    tokio::spawn(async move {
        let mut last = None;
        while states.changed().await.is_ok() {
            let state = states.borrow_and_update().clone();
            // Leases and ages move with every beat: what else has moved is worth a line.
            let seen = (state.synced, state.revision, state.entries, state.trouble.clone());
            if last.as_ref() != Some(&seen) && events.send(Event::State(state)).await.is_err() {
                return;
            }
            last = Some(seen);
        }
    });
    header(out)?;
    let mut left = args.lifts.unwrap_or(u64::MAX);
    while left > 0 {
        let event = tokio::select! {
            event = shown.recv() => event,
            _ = tokio::signal::ctrl_c() => None,
        };
        match event {
            Some(Event::State(state)) => {
                let state = State::from(&state);
                line(&state, state.cells(out.lang), out)?;
            }
            Some(Event::Lift(lifted)) => {
                let lift = Lift::from(lifted);
                line(&lift, lift.cells(out.lang), out)?;
                left -= 1;
            }
            None => break,
        }
    }
    replica.close().await?;
    Ok(Exit::Success)
}

/// What is watched comes line by line: JSON objects, or rows under this.
fn header(out: &mut Out) -> Result<(), Failure> {
    let lang = out.lang;
    if out.format == Format::Json {
        return Ok(());
    }
    let names = [
        lang.pick("event", "事件"),
        lang.pick("revision", "修订号"),
        lang.pick("lifts", "解除次数"),
        lang.pick("entries", "条目数"),
        lang.pick("behind", "落后"),
        lang.pick("lease s", "租约秒数"),
        lang.pick("trouble", "故障"),
    ];
    out.row(WIDTHS, names.map(str::to_owned))?;
    out.flush()
}

fn line<T: Serialize>(event: &T, cells: [String; 7], out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        out.json(event)?;
    } else {
        out.row(WIDTHS, cells)?;
    }
    out.flush()
}

impl State {
    fn cells(&self, lang: Lang) -> [String; 7] {
        let event = lang.pick("state", "状态").to_owned();
        let [revision, lifts, entries, lag] =
            [self.revision, self.lift_seq, self.entries, self.lag].map(|number| number.to_string());
        let lease = format!("{:.1}", Duration::from_millis(self.lease_ms).as_secs_f64());
        [event, revision, lifts, entries, lag, lease, self.trouble.clone().unwrap_or_default()]
    }
}

impl Lift {
    fn cells(&self, lang: Lang) -> [String; 7] {
        let event = lang.pick("lift", "解除").to_owned();
        // How many entries it concerned, and not how many there are.
        let keys = format!("-{}", self.keys);
        [event, self.revision.to_string(), self.lift_seq.to_string(), keys, String::new(), String::new(), String::new()]
    }
}

pub(crate) async fn lifts(args: LiftsArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let hub = Session::resolve(global, &args.connect)?.connect().await?;
    let position = v1::Position { token: args.position.into(), time: None };
    let seen = hub.sync().get_lift_status(v1::GetLiftStatusRequest { position: Some(position) }).await?;
    let standing = Standing::from(seen);
    let name = |en: &'static str, zh: &'static str| out.lang.pick(en, zh);
    let lines = vec![
        (name("replicas", "副本数"), standing.subscribers.to_string()),
        (name("confirmed", "已确认"), standing.acknowledged.to_string()),
        (name("lease run out", "租约已过期"), standing.lease_run_out.to_string()),
        (name("pending", "等待中"), standing.pending.to_string()),
        (name("complete", "已完成"), if standing.complete { name("yes", "是") } else { name("no", "否") }.to_owned()),
        (name("complete at", "完成时间"), standing.complete_time.clone().unwrap_or_default()),
    ];
    out.record(&standing, || lines)?;
    Ok(Exit::Success)
}

#[cfg(test)]
pub(crate) mod samples {
    use super::{Lift, ReplicaState, Standing, State, v1};

    pub(crate) fn state() -> State {
        State::from(&ReplicaState { trouble: Some("x".to_owned()), ..ReplicaState::default() })
    }

    pub(crate) fn lift() -> Lift {
        Lift { event: "lift", lift_seq: 1, revision: 2, keys: 3 }
    }

    pub(crate) fn standing() -> Standing {
        let complete_time = Some(prost_types::Timestamp::default());
        Standing::from(v1::GetLiftStatusResponse { complete_time, ..Default::default() })
    }
}
