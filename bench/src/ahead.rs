//! The hub by clocks that are ahead of the machine's, so that a midnight comes when a run wants it.
//!
//! All else is as `xinhubd serve` has it: the same library, configuration and allocator, in a process of its own. Both clocks are ahead
//! by as much from the start on, so that they agree: for the hub nothing has been set. Certificates are judged by the machine's own.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::clock::{Clock, SystemClock};
use xinhub_server::config::Settings;
use xinhub_server::run::Server;

use crate::Result;

/// The machine's clocks, and so much.
#[derive(Debug)]
struct Ahead {
    by_ms: u64,
}

impl Clock for Ahead {
    fn wall(&self) -> Timestamp {
        Timestamp(SystemClock.wall().0.saturating_add_unsigned(self.by_ms))
    }

    fn boot_ms(&self) -> u64 {
        SystemClock.boot_ms() + self.by_ms
    }
}

/// Serves until SIGTERM.
pub(crate) async fn serve(config: PathBuf, ahead_ms: u64) -> Result<()> {
    let settings = Settings::load(&config)?;
    xinhub_server::logging::start(&settings.log)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let server = Server::start(settings, Arc::new(Ahead { by_ms: ahead_ms })).await?;
    tokio::select! {
        _ = terminate.recv() => drop(server.stop().await),
        () = server.failed() => return Err("journal or audit log failed".into()),
    }
    Ok(())
}
