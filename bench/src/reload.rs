//! `reload`: the hub reads its policy again, as an operator has it do by SIGHUP: how long until the new one answers, and how long somebody
//! waits meanwhile who asks by chance; with the policy of the few who take part here, and with one as large as a country's.

use std::fs;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use xinhub_client::{Code, Hub};

use crate::ask::{Questions, nobody, questions};
use crate::compare::{Compared, Row, Spread, new_table};
use crate::load::Shape;
use crate::lookup::{CHECK, contender};
use crate::policy::{self, Size};
use crate::process::Server;
use crate::report::Run;
use crate::world::{BANK, World};
use crate::{Common, Result, note};

const ALONE: &str = "Check alone";
const BESIDE: &str = "Check beside reloads";
/// Reloads in a round while nobody asks, and the least beside the load.
const QUIET: usize = 3;
/// Between two looks whether the new policy answers.
const BETWEEN_LOOKS: Duration = Duration::from_millis(1);
/// Longer than any reload.
const ANSWERS_WITHIN: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    how: How,
}

/// Of what, and how often.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, clap::Args)]
pub(crate) struct How {
    /// Courts in the large policy
    #[arg(long, default_value_t = 3_500)]
    courts: usize,
    /// Clients in the large policy
    #[arg(long, default_value_t = 500)]
    clients: usize,
    /// Milliseconds from one reload to the next
    #[arg(long, default_value_t = 1_000)]
    every_ms: u64,
    /// Of what the hub can do alone, the part that is asked
    #[arg(long, default_value_t = 0.25)]
    share: f64,
}

impl How {
    pub(crate) const USUAL: Self = Self { courts: 3_500, clients: 500, every_ms: 1_000, share: 0.25 };
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    how: How,
    policies: Vec<Figure>,
}

/// One policy.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Figure {
    what: String,
    kib: f64,
    compared: Compared,
    /// From the signal until a check is answered by the new policy: while nobody asks, and beside the load.
    quiet_ms: Spread,
    beside_ms: Spread,
    /// Of the hub, for a reload, over what checks alone take.
    cpu_ms: Spread,
    /// Before the first reload of a round, and after its last.
    rss_mib: [Spread; 2],
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let Common { rows, seconds, rounds, .. } = args.common;
    let (world, filled) = World::filled(&args.common.place, rows).await?;
    let figures = measure(&world, args.how, seconds, rounds).await?;
    args.common.output.write(&Run { reload: Some(figures), ..Run::of(&filled)? })
}

/// What the rounds with one policy came to.
struct Rounds {
    what: String,
    size: Size,
    rows: [Row; 2],
    quiet_ms: Vec<f64>,
    beside_ms: Vec<f64>,
    cpu_ms: Vec<f64>,
    rss_mib: [Vec<f64>; 2],
}

pub(crate) async fn measure(world: &World, how: How, seconds: f64, rounds: u16) -> Result<Figures> {
    let (clear, listed) = questions(world)?;
    let mixed = Questions::mixed(&clear, &listed, 1);
    let large = Size { courts: how.courts, clients: how.clients };
    // Gone with its directory.
    let dir = tempfile::tempdir_in(world.path("."))?;
    let mut policies = [policy::SMALL, large].map(Rounds::new);
    let mut shape = None;
    for round in 1..=rounds {
        for one in &mut policies {
            note(format_args!("round {round} of {rounds}: {}", one.what));
            one.run(world, how, (&mixed, seconds), dir.path().join("policy.toml"), &mut shape).await?;
        }
    }
    let shape = shape.ok_or("no round was run")?;
    Ok(Figures { how, policies: policies.map(|one| one.figure(shape)).into() })
}

impl Rounds {
    fn new(size: Size) -> Self {
        // Three clients and a court take part in any.
        let what = format!("{} courts, {} clients", size.courts + 1, size.clients + 3);
        let rows = [ALONE, BESIDE].map(Row::new);
        Self { what, size, rows, quiet_ms: vec![], beside_ms: vec![], cpu_ms: vec![], rss_mib: [vec![], vec![]] }
    }

    async fn run(
        &mut self,
        world: &World,
        how: How,
        (mixed, seconds): (&Questions, f64),
        policy: PathBuf,
        shape: &mut Option<Shape>,
    ) -> Result<()> {
        fs::write(&policy, policy::text(self.size, false))?;
        let hub = world.serve_by(&policy).await?;
        let check = contender(world, CHECK, &hub, mixed.clone());
        let shape = match shape {
            Some(shape) => *shape,
            None => *shape.insert(check.share(how.share, seconds).await?),
        };
        check.warm_up(shape).await?;
        self.rss_mib[0].push(hub.usage()?.rss_mib);
        let bank = world.client(&hub, BANK).await?;
        let mut operator = Operator { hub: &hub, bank, policy, size: self.size, also: false };
        for _ in 0..QUIET {
            self.quiet_ms.push(operator.reload().await?);
        }
        let alone = check.run(shape).await?;
        let end = OnceLock::new();
        let every = Duration::from_millis(how.every_ms);
        let reloads = async {
            let reloads = operator.again_and_again(every, Duration::from_secs_f64(seconds)).await?;
            let _ = end.set(Instant::now());
            Ok(reloads)
        };
        let (beside, took_ms) = tokio::try_join!(check.run_until(shape, &end), reloads)?;
        let more_busy = beside.server_busy - alone.server_busy;
        self.cpu_ms.push(more_busy * beside.seconds() * 1e3 / took_ms.len() as f64);
        self.beside_ms.extend(took_ms);
        self.rss_mib[1].push(hub.usage()?.rss_mib);
        self.rows[0].rounds.push(alone);
        self.rows[1].rounds.push(beside);
        drop(check);
        hub.stop().await?;
        Ok(())
    }

    fn figure(self, shape: Shape) -> Figure {
        Figure {
            what: self.what,
            kib: policy::text(self.size, false).len() as f64 / 1024.0,
            compared: Compared { shape, rows: self.rows.into() },
            quiet_ms: Spread::of(self.quiet_ms),
            beside_ms: Spread::of(self.beside_ms),
            cpu_ms: Spread::of(self.cpu_ms),
            rss_mib: self.rss_mib.map(Spread::of),
        }
    }
}

/// Who changes the policy: what one grants to the bank, the next takes away.
struct Operator<'a> {
    hub: &'a Server,
    bank: Hub,
    policy: PathBuf,
    size: Size,
    also: bool,
}

impl Operator<'_> {
    /// Milliseconds until the other policy answers.
    async fn reload(&mut self) -> Result<f64> {
        self.also = !self.also;
        let next = self.policy.with_extension("next");
        fs::write(&next, policy::text(self.size, self.also))?;
        fs::rename(&next, &self.policy)?;
        let began = Instant::now();
        self.hub.reload()?;
        while self.is_granted().await? != self.also {
            if began.elapsed() > ANSWERS_WITHIN {
                return Err(format!("the new policy doesn't answer after {ANSWERS_WITHIN:?}").into());
            }
            sleep(BETWEEN_LOOKS).await;
        }
        Ok(began.elapsed().as_secs_f64() * 1e3)
    }

    /// Reloads for so long, and three times at the least.
    async fn again_and_again(&mut self, every: Duration, time: Duration) -> Result<Vec<f64>> {
        let (began, mut pace, mut took_ms) = (Instant::now(), interval(every), Vec::new());
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while began.elapsed() < time || took_ms.len() < QUIET {
            pace.tick().await;
            took_ms.push(self.reload().await?);
        }
        Ok(took_ms)
    }

    /// Whether the bank may ask for what it is granted by turns.
    async fn is_granted(&self) -> Result<bool> {
        match self.bank.lookup().check(nobody(policy::ALSO)?).await {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Code::PermissionDenied => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

pub(crate) fn text(figures: &Figures) -> String {
    let Figures { how, policies } = figures;
    let mut table = new_table([
        "policy",
        "KiB",
        "until it answers ms",
        "beside checks ms",
        "hub CPU ms",
        "memory before MiB",
        "after MiB",
    ]);
    let mut checks = String::new();
    for one in policies {
        let Figure { what, kib, compared, quiet_ms, beside_ms, cpu_ms, rss_mib: [before, after] } = one;
        table.add_row([
            what.clone(),
            format!("{kib:.0}"),
            quiet_ms.text(1),
            beside_ms.text(1),
            cpu_ms.text(1),
            before.text(0),
            after.text(0),
        ]);
        checks += &format!("\n{what}, open load of {}:\n\n{}\n", compared.shape.text(), compared.table(ALONE, ALONE));
    }
    format!("Every {} ms beside checks, {} of what the hub can do alone.\n\n{table}\n{checks}", how.every_ms, how.share)
}
