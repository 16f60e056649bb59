//! A server as a process of its own, and what the kernel says of it. The process ends when its value is dropped.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, sleep};

use crate::Result;

/// Loading 10 million listings after a kill takes minutes on a slow disk.
const START_LIMIT: Duration = Duration::from_secs(600);
const STOP_LIMIT: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(2);
/// USER_HZ of proc(5): 100 on every platform that the hub is built for, whatever the kernel's own tick.
const TICKS_PER_S: f64 = 100.0;

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
    pub(crate) async fn start(mut command: Command, log: &Path) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(log)?);
        let started = Instant::now();
        let child = command.spawn().map_err(|error| format!("{}: {error}", program(&command)))?;
        let unset = SocketAddr::from(([127, 0, 0, 1], 0));
        // From here on a failure ends the process too.
        let mut server = Self { child, address: unset, listening_after: Duration::ZERO, started };
        server.address = loop {
            if let Some(address) = listening(&fs::read_to_string(log)?) {
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
    fn of(pid: u32) -> Result<Self> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        // The second field, the program's name, may hold blanks; after its bracket, utime and stime are the 12th and 13th.
        let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
        let ticks: Vec<f64> = after.split_whitespace().skip(11).take(2).map_while(|field| field.parse().ok()).collect();
        let [user, system] = ticks[..] else { return Err(format!("/proc/{pid}/stat: not as proc(5) has it").into()) };
        let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let kib = line.and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
            kib.map(|kib| kib / 1024.0).ok_or_else(|| format!("/proc/{pid}/status: no {key}"))
        };
        let (peak_rss_mib, rss_mib) = (mib("VmHWM:")?, mib("VmRSS:")?);
        Ok(Self { cpu_s: (user + system) / TICKS_PER_S, peak_rss_mib, rss_mib })
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
        let usage = Usage::of(std::process::id()).unwrap();
        assert!(usage.rss_mib > 0.0 && usage.peak_rss_mib >= usage.rss_mib);
    }
}
