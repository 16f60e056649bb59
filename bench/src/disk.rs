//! What a sync of the disk takes on which the hub writes: nothing durable can be faster.

use std::fs::File;
use std::io::Write;

use rustix::fs::fdatasync;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::Result;
use crate::compare::Spread;
use crate::world::World;

const COUNT: usize = 200;
/// About what a commit of one event, or some records, comes to.
const BYTES: usize = 4096;

/// Microseconds that a write of 4 KiB and its sync take, one after the other.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(crate) struct Syncs {
    pub(crate) spread_us: Spread,
    pub(crate) p99_us: f64,
}

impl Syncs {
    pub(crate) fn text(&self) -> String {
        let Self { spread_us, p99_us } = self;
        format!("A write of 4 KiB with its fdatasync on that disk: {} µs, p99 {p99_us:.0} µs.", spread_us.text(0))
    }
}

/// In a preallocated file beside the hub's own.
pub(crate) fn syncs(world: &World) -> Result<Syncs> {
    let path = world.path("syncs");
    let mut file = File::create(&path)?;
    let block = [0x5a; BYTES];
    for _ in 0..COUNT {
        file.write_all(&block)?;
    }
    fdatasync(&file)?;
    let mut file = File::options().write(true).open(&path)?;
    let mut took = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        let began = Instant::now();
        file.write_all(&block)?;
        fdatasync(&file)?;
        took.push(began.elapsed().as_secs_f64() * 1e6);
    }
    std::fs::remove_file(path)?;
    took.sort_by(f64::total_cmp);
    let p99_us = took.get(COUNT * 99 / 100).copied().unwrap_or(f64::NAN);
    Ok(Syncs { spread_us: Spread::of(took), p99_us })
}
