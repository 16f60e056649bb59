//! `expiry`: the terms of very many listings end at one midnight. How long it takes until the hub has written that of all of them, and
//! how long somebody waits meanwhile who asks, or whom a court frees; next to the same hub just before.
//!
//! By rule nobody is restricted any more from that midnight on, whatever is written by then: an answer that says otherwise ends the run.

use std::sync::OnceLock;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::task::JoinSet;
use tokio::time::{Instant, interval, sleep, sleep_until};
use xinhub_client::{Hub, v1};

use crate::ask::{Questions, later_listed, questions, verdict};
use crate::compare::{Compared, Row, Spread, new_table};
use crate::ending::Ending;
use crate::load::{Class, Latency, Measured, Shape, Tally};
use crate::lookup::{CHECK, contender};
use crate::process::{On, Server};
use crate::publish::{lift, publish_all};
use crate::report::Run;
use crate::world::{BANK, COURT, World};
use crate::{Common, Result, note};

const BEFORE: &str = "Check before midnight";
const AFTER: &str = "Check from midnight on";
/// Between two lifts, and two checks of who was never asked about.
const EVERY: Duration = Duration::from_millis(50);
/// How many of each there are at most in a round.
const MOST: usize = 1_000;
/// Between two looks at what the hub has written, and two checks of somebody whose term is over.
const BETWEEN_LOOKS: Duration = Duration::from_millis(10);
/// The hub's midnight comes later than this program's, by less than this.
const CLOCKS_APART: Duration = Duration::from_millis(5);
/// Longer than any storm.
const WRITTEN_WITHIN: Duration = Duration::from_secs(900);
/// Of the people whose terms end, as many are asked about before, and once all is written.
const SAMPLE: usize = 50;

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: How,
}

/// How much at a time.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, clap::Args)]
pub(crate) struct How {
    /// Listings whose terms end at one midnight; each round has its own
    #[arg(long, default_value_t = 100_000)]
    ending: u64,
    /// Of what the hub can do alone, the part that is asked
    #[arg(long, default_value_t = 0.25)]
    share: f64,
}

impl How {
    pub(crate) const USUAL: Self = Self { ending: 100_000, share: 0.25 };
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    how: How,
    compared: Compared,
    /// Lifts, and first answers on a listing: before midnight, and from then on.
    lifts: [Vec<Latency>; 2],
    firsts: [Vec<Latency>; 2],
    /// From midnight until all is written.
    written_s: Spread,
    /// The last answer `UNKNOWN` about somebody whose term is over.
    unsure_s: Spread,
    /// Of the hub, for each listing, over what checks alone take.
    cpu_us: Spread,
    /// From then on until the details had caught up.
    details_s: Spread,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    let figures = measure(&world, args.how, seconds, rounds).await?;
    args.common.output.write(&Run { expiry: Some(figures), ..Run::of(&filled)? })
}

/// On a copy: what has happened by clocks that are ahead can't be followed by what happens by the machine's.
pub(crate) async fn measure(world: &World, how: How, seconds: f64, rounds: u16) -> Result<Figures> {
    let world = world.copied()?;
    let mut endings = Ending::make(&world, how.ending, usize::from(rounds)).await?;
    let hub = world.serve(On::All).await?;
    let bank = world.client(&hub, BANK).await?;
    for ending in &mut endings {
        ending.keep_unlisted(&bank).await?;
        world.import(&hub, &ending.file).await?;
    }
    world.details_caught_up(&hub).await?;
    // On fewer processors, and after whatever the disk was left with.
    let start = hub.listening_after * 4;
    hub.stop().await?;
    let (clear, listed) = questions(&world)?;
    let (clear, lifted) = clear.without_last(MOST);
    let mut firsts = later_listed(&world, MOST * usize::from(rounds))?;
    let (mut shape, mut done) = (None, Vec::new());
    for (number, ending) in (1..).zip(&endings) {
        note(format_args!("round {number} of {rounds}: a midnight"));
        let own = firsts.split_off(firsts.len().saturating_sub(MOST));
        let round = Round { world: &world, ending, mixed: Questions::mixed(&clear, &listed, 1), lifted: &lifted };
        done.push(round.run(start, own, (how.share, seconds), &mut shape).await?);
    }
    Figures::of(how, shape.ok_or("no round was run")?, done)
}

/// One midnight.
struct Round<'a> {
    world: &'a World,
    ending: &'a Ending,
    mixed: Questions,
    /// Who is listed to be lifted.
    lifted: &'a Questions,
}

/// What it came to.
struct Done {
    checks: [Measured; 2],
    besides: [Tally; 2],
    written_s: f64,
    unsure_s: f64,
    details_s: f64,
}

impl Round<'_> {
    async fn run(
        &self,
        start: Duration,
        firsts: Vec<v1::CheckRequest>,
        (share, seconds): (f64, f64),
        shape: &mut Option<Shape>,
    ) -> Result<Done> {
        // Enough to start the hub, to warm it up, and to list those who are then lifted.
        let lead = start + Duration::from_secs_f64(2.0 * seconds + 8.0);
        let (midnight, now) = (Instant::now() + lead, Timestamp::now());
        let ahead = Duration::try_from(self.ending.midnight.duration_since(now))?.saturating_sub(lead);
        let hub = self.world.serve_ahead(ahead).await?;
        let check = contender(self.world, CHECK, &hub, self.mixed.clone());
        let shape = match shape {
            Some(shape) => *shape,
            None => *shape.insert(check.share(share, seconds.min(2.0)).await?),
        };
        check.warm_up(shape).await?;
        let (bank, court) = (self.world.client(&hub, BANK).await?, self.world.client(&hub, COURT).await?);
        let lifts = publish_all(&court, self.lifted, MOST).await?;
        self.asked(&bank, v1::Verdict::Consider).await?;
        let mut desk = Desk { court, bank: bank.clone(), lifts, firsts };
        let quiet = midnight - Duration::from_secs_f64(seconds) - EVERY;
        if Instant::now() > quiet {
            return Err("midnight came before the hub was ready: the machine has too much else to do".into());
        }
        sleep_until(quiet).await;
        let end = OnceLock::from(quiet + Duration::from_secs_f64(seconds));
        let before = tokio::try_join!(check.run_until(shape, &end), desk.work(&end))?;
        let written = self.world.status(&hub).await?.revision + self.ending.rows;
        sleep_until(midnight).await;
        let end = OnceLock::new();
        let (checks_after, besides, unsure_s, ()) = tokio::try_join!(
            check.run_until(shape, &end),
            desk.work(&end),
            self.freed(&bank, midnight, &end),
            until_written(self.world, &hub, written, &end),
        )?;
        self.asked(&bank, v1::Verdict::Clear).await?;
        let end = end.get().copied().ok_or("nothing was written")?;
        self.world.details_caught_up(&hub).await?;
        let details_s = end.elapsed().as_secs_f64();
        drop(check);
        hub.stop().await?;
        let written_s = (end - midnight).as_secs_f64();
        Ok(Done { checks: [before.0, checks_after], besides: [before.1, besides], written_s, unsure_s, details_s })
    }

    /// Whether a sample of those whose terms end is answered like this.
    async fn asked(&self, bank: &Hub, expected: v1::Verdict) -> Result<()> {
        for request in self.ending.people.iter().rev().take(SAMPLE) {
            let verdict = verdict(bank, request).await?;
            if verdict != expected {
                return Err(format!("somebody whose term ends is {verdict:?}, expected {expected:?}").into());
            }
        }
        Ok(())
    }

    /// Asks about one after the other of those whose term is over; when, after midnight, an answer was `UNKNOWN` for the last time.
    async fn freed(&self, bank: &Hub, midnight: Instant, end: &OnceLock<Instant>) -> Result<f64> {
        let mut unsure_s = 0.0;
        for request in self.ending.people.iter().cycle() {
            if end.get().is_some() {
                break;
            }
            let asked_after = midnight.elapsed();
            match verdict(bank, request).await? {
                v1::Verdict::Unknown => unsure_s = midnight.elapsed().as_secs_f64(),
                v1::Verdict::Clear => {}
                // Its clocks are ahead by whole milliseconds: its midnight comes a little later than this one.
                _ if asked_after < CLOCKS_APART => {}
                other => {
                    return Err(format!(
                        "somebody whose term is over is {other:?}, asked {asked_after:?} after midnight"
                    )
                    .into());
                }
            }
            sleep(BETWEEN_LOOKS).await;
        }
        Ok(unsure_s)
    }
}

/// What goes on at a hub besides checks by chance.
struct Desk {
    court: Hub,
    bank: Hub,
    /// Who can be lifted.
    lifts: Vec<u64>,
    /// Who is listed, and was never asked about.
    firsts: Vec<v1::CheckRequest>,
}

impl Desk {
    /// Every so often a court lifts a listing, and a bank is told of another for the first time; each timed from when it should have begun.
    async fn work(&mut self, end: &OnceLock<Instant>) -> Result<Tally> {
        let mut pace = interval(EVERY);
        let mut under_way: JoinSet<Result<(Class, Duration)>> = JoinSet::new();
        while end.get().is_none_or(|end| Instant::now() < *end) {
            let intended = pace.tick().await;
            if let Some(listing) = self.lifts.pop() {
                let court = self.court.clone();
                under_way.spawn(async move {
                    lift(&court, listing).await?;
                    Ok((Class::Main, intended.elapsed()))
                });
            }
            if let Some(request) = self.firsts.pop() {
                let bank = self.bank.clone();
                under_way.spawn(async move {
                    verdict(&bank, &request).await?;
                    Ok((Class::Other, intended.elapsed()))
                });
            }
        }
        let mut tally = Tally::new()?;
        while let Some(done) = under_way.join_next().await {
            let (class, took) = done??;
            tally.record(class, took)?;
        }
        Ok(tally)
    }
}

/// Sets the end once the hub has come to this revision.
async fn until_written(world: &World, hub: &Server, revision: u64, end: &OnceLock<Instant>) -> Result<()> {
    let (admin, began) = (world.operator(hub).await?, Instant::now());
    while admin.admin().get_status(v1::GetStatusRequest {}).await?.revision < revision {
        if began.elapsed() > WRITTEN_WITHIN {
            return Err(format!("not all is written after {WRITTEN_WITHIN:?}").into());
        }
        sleep(BETWEEN_LOOKS).await;
    }
    let _ = end.set(Instant::now());
    Ok(())
}

impl Figures {
    fn of(how: How, shape: Shape, done: Vec<Done>) -> Result<Self> {
        let mut rows = [BEFORE, AFTER].map(Row::new);
        let (mut lifts, mut firsts) = ([Vec::new(), Vec::new()], [Vec::new(), Vec::new()]);
        for one in &done {
            for at in 0..2 {
                rows[at].rounds.push(one.checks[at]);
                let [lifted, first] = one.besides[at].latencies();
                lifts[at].extend(lifted);
                firsts[at].extend(first);
            }
        }
        let spread = |value: fn(&Done) -> f64| Spread::of(done.iter().map(value));
        let cpu_us = Spread::of(done.iter().map(|one| {
            let [before, after] = &one.checks;
            (after.server_busy - before.server_busy) * after.seconds() * 1e6 / how.ending as f64
        }));
        Ok(Self {
            how,
            compared: Compared { shape, rows: rows.to_vec() },
            lifts,
            firsts,
            written_s: spread(|one| one.written_s),
            unsure_s: spread(|one| one.unsure_s),
            cpu_us,
            details_s: spread(|one| one.details_s),
        })
    }
}

pub(crate) fn text(figures: &Figures) -> String {
    let Figures { how, compared, lifts, firsts, written_s, unsure_s, cpu_us, details_s } = figures;
    let mut waits =
        new_table(["who waits", "before midnight p50 ms", "the longest", "from midnight on p50 ms", "the longest"]);
    for (what, [before, after]) in
        [("a court, for a lift", lifts), ("a bank, told of a listing for the first time", firsts)]
    {
        let of = |rounds: &[Latency], value: fn(&Latency) -> f64| {
            Spread::of(rounds.iter().map(|one| value(one) / 1e3)).text(1)
        };
        waits.add_row([
            what.to_owned(),
            of(before, |one| one.p50_us),
            of(before, |one| one.max_us),
            of(after, |one| one.p50_us),
            of(after, |one| one.max_us),
        ]);
    }
    let events =
        Spread::of([written_s.min, written_s.median, written_s.max].map(|seconds| how.ending as f64 / seconds));
    format!(
        "{} terms end at one midnight. From that moment on nobody is restricted by them; the last answer `UNKNOWN` came {} s after it. \
         All had their event after {} s: {} a second, {} µs of the hub's CPU each. Details had caught up {} s later.\n\n\
         Open load of {}, {} of what the hub can do alone.\n\n{}\n\n{waits}\n",
        how.ending,
        unsure_s.text(2),
        written_s.text(2),
        events.text(0),
        cpu_us.text(1),
        details_s.text(1),
        compared.shape.text(),
        how.share,
        compared.table(BEFORE, BEFORE),
    )
}
