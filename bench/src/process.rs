//! A server as a process of its own, and what the kernel says of it. The process ends when its value is dropped.
//!
//! Where there are processors for it, servers and load get processors of their own ([`split_processors`]): what the load takes is
//! then not taken from the server, and calls per second tell what the server can do.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::Result;

/// Loading 10 million listings after a kill takes minutes on a slow disk.
const START_LIMIT: Duration = Duration::from_secs(600);
const STOP_LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(2);
/// USER_HZ of proc(5): 100 on every platform that the hub is built for, whatever the kernel's own tick.
const TICKS_PER_S: f64 = 100.0;

/// Set once, before any other thread and any process is started.
static PROCESSORS: OnceLock<Processors> = OnceLock::new();

struct Processors {
    all: CpuSet,
    servers: CpuSet,
    load: usize,
}

/// On which processors a process runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum On {
    /// Those that the load leaves to servers.
    Servers,
    /// All of them: while nothing asks it.
    All,
}

/// Gives the first half of the processors to servers, and the rest to this thread and those that it will start: to the load.
/// With one processor, or with `shared`, all is shared.
pub(crate) fn split_processors(shared: bool) -> Result<()> {
    let all = sched_getaffinity(None)?;
    let numbers: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|at| all.is_set(*at)).collect();
    let of = |numbers: &[usize]| {
        let mut set = CpuSet::new();
        numbers.iter().for_each(|at| set.set(*at));
        set
    };
    let (servers, load) = if shared || numbers.len() < 2 {
        (all, all)
    } else {
        let (servers, load) = numbers.split_at(numbers.len() / 2);
        (of(servers), of(load))
    };
    sched_setaffinity(None, &load)?;
    let _ = PROCESSORS.set(Processors { all, servers, load: usize::try_from(load.count())? });
    Ok(())
}

/// How many processors the load has.
pub(crate) fn load_processors() -> usize {
    PROCESSORS.get().map_or(1, |processors| processors.load)
}

/// Starts a process that runs `on` these processors from its first instruction on: it may ask how many it has.
pub(crate) fn spawn(command: &mut Command, on: On) -> Result<Child> {
    let Some(Processors { all, servers, .. }) = PROCESSORS.get() else { return Ok(command.spawn()?) };
    let own = sched_getaffinity(None)?;
    // A child has the processors of the thread that starts it.
    sched_setaffinity(None, if on == On::All { all } else { servers })?;
    let child = command.spawn();
    sched_setaffinity(None, &own)?;
    Ok(child.map_err(|error| format!("{}: {error}", program(command)))?)
}

/// A server that has said where it listens.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: SocketAddr,
    /// From its start until it said so.
    pub(crate) listening_after: Duration,
    pub(crate) started: Instant,
}

/// What a process has taken so far.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Usage {
    /// User and system time of all its threads. In steps of a clock tick, 10 ms on Linux.
    pub(crate) cpu_s: f64,
    /// The most memory that it held at a time since its start.
    pub(crate) peak_rss_mib: f64,
    pub(crate) rss_mib: f64,
}

impl Server {
    /// Starts it, with standard error to `log`, and waits for its line `listening`.
    pub(crate) async fn start(command: Command, log: &Path, on: On) -> Result<Self> {
        Self::start_when(command, log, on, async |log| Ok(listening(log))).await
    }

    /// Starts it, with what it says to `log`, and waits until `listening` finds out, from the log or otherwise, where.
    pub(crate) async fn start_when(
        mut command: Command,
        log: &Path,
        on: On,
        listening: impl AsyncFn(&str) -> Result<Option<SocketAddr>>,
    ) -> Result<Self> {
        let file = File::create(log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let started = Instant::now();
        let child = spawn(&mut command, on)?;
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on a failure ends the process too.
        let mut server = Self { child, address: unset, listening_after: Duration::ZERO, started };
        server.address = loop {
            if let Some(address) = listening(&fs::read_to_string(log)?).await? {
                break address;
            }
            if let Some(status) = server.child.try_wait()? {
                return Err(format!("{} ended with {status}: {}", program(&command), fs::read_to_string(log)?).into());
            }
            if started.elapsed() > START_LIMIT {
                return Err(format!("{} does not listen after {START_LIMIT:?}", program(&command)).into());
            }
            sleep(PAUSE).await;
        };
        server.listening_after = started.elapsed();
        Ok(server)
    }

    /// SIGHUP: it reads its files again.
    pub(crate) fn reload(&self) -> Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::HUP)?)
    }

    /// SIGTERM, and the time until it has ended.
    pub(crate) async fn stop(mut self) -> Result<Duration> {
        let began = Instant::now();
        kill_process(Pid::from_child(&self.child), Signal::TERM)?;
        loop {
            if let Some(status) = self.child.try_wait()? {
                let took = began.elapsed();
                return if status.success() { Ok(took) } else { Err(format!("it ended with {status}").into()) };
            }
            if began.elapsed() > STOP_LIMIT {
                return Err(format!("it has not ended after {STOP_LIMIT:?}").into());
            }
            sleep(PAUSE).await;
        }
    }

    /// kill -9.
    pub(crate) fn kill(self) {
        drop(self);
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its own, and the processors' time of its children too.
    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // One that has ended already is only waited for.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn program(command: &Command) -> String {
    PathBuf::from(command.get_program()).display().to_string()
}

/// The address in the line that says that calls are answered.
fn listening(log: &str) -> Option<SocketAddr> {
    log.lines().find_map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        let is_it = line.get("message")?.as_str()? == "listening";
        is_it.then(|| line.get("listen")?.as_str()?.parse().ok()).flatten()
    })
}

impl Usage {
    /// This process's.
    pub(crate) fn own() -> Result<Self> {
        Self::of(std::process::id())
    }

    fn of(pid: u32) -> Result<Self> {
        let own = Stat::of(pid)?;
        let mut ticks = own.ticks + own.ended_children_ticks;
        for entry in fs::read_dir("/proc")? {
            let child = entry?.file_name().to_str().and_then(|name| name.parse().ok());
            // One that ends meanwhile counts among the ended ones the next time.
            let Some(Ok(child)) = child.map(Stat::of) else { continue };
            if child.parent == pid {
                ticks += child.ticks;
            }
        }
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).ok_or_else(|| format!("/proc/{pid}/status: no {key}"))
        };
        let (peak_rss_mib, rss_mib) = (mib("VmHWM:")?, mib("VmRSS:")?);
        Ok(Self { cpu_s: ticks as f64 / TICKS_PER_S, peak_rss_mib, rss_mib })
    }
}

/// What is needed of proc(5)'s `stat`.
struct Stat {
    parent: u32,
    ticks: u64,
    ended_children_ticks: u64,
}

impl Stat {
    fn of(pid: u32) -> Result<Self> {
        let path = format!("/proc/{pid}/stat");
        let stat = fs::read_to_string(&path)?;
        // The second field, the program's name, may hold blanks. After its bracket: state, ppid; utime, stime, cutime, cstime are
        // the 12th to 15th.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let fields: Vec<i64> =
            after.split_whitespace().skip(1).take(14).map_while(|field| field.parse().ok()).collect();
        let [parent, _, _, _, _, _, _, _, _, _, user, system, ended_user, ended_system] = fields[..] else {
            return Err(format!("{path}: not as proc(5) has it").into());
        };
        Ok(Self {
            parent: u32::try_from(parent)?,
            ticks: u64::try_from(user + system)?,
            ended_children_ticks: u64::try_from(ended_user + ended_system)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_that_of_the_line_that_says_listening() {
        let check = |log: &str, expected: Option<&str>| {
            assert_eq!(listening(log).map(|address| address.to_string()).as_deref(), expected, "{log}");
        };
        check("", None);
        check(r#"{"message":"listening","listen":"127.0.0.1:4711","metrics":"127.0.0.1:1"}"#, Some("127.0.0.1:4711"));
        check(
            "noise\n{\"message\":\"other\"}\n{\"message\":\"listening\",\"listen\":\"127.0.0.1:1\"}",
            Some("127.0.0.1:1"),
        );
        check(r#"{"message":"listening","listen":"127.0"#, None);
    }

    #[test]
    fn this_process_has_taken_memory() {
        let usage = Usage::own().unwrap();
        assert!(usage.rss_mib > 0.0 && usage.peak_rss_mib >= usage.rss_mib);
    }
}
