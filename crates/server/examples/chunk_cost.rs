//! What the listing table's rows take in memory by how many are allocated together, on the hub's allocator:
//!
//! `cargo run --release --example chunk_cost -p xinhub-server`
//!
//! What is allocated beyond the rows is resident where huge pages back it: `CHUNK_ROWS` in the ledger's `src/table.rs`. `MIMALLOC_ALLOW_THP=0`
//! shows it without.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]

use std::error::Error;
use std::process::Command;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// As long as a row in memory.
type Row = [u64; 5];

const ROWS: usize = 10_300_000;
const CHUNKS: [usize; 4] = [16_384, 16_256, 13_056, 6_528];

fn main() -> Result<(), Box<dyn Error>> {
    if let Some(chunk) = std::env::args().nth(1) {
        return filled(chunk.parse()?);
    }
    for chunk in CHUNKS {
        // Each in a process of its own: what one has given back another may get.
        Command::new(std::env::current_exe()?).arg(chunk.to_string()).status()?;
    }
    Ok(())
}

fn filled(chunk: usize) -> Result<(), Box<dyn Error>> {
    let before = resident_mib()?;
    let mut chunks = Vec::new();
    for _ in 0..ROWS.div_ceil(chunk) {
        let mut rows: Vec<Row> = Vec::with_capacity(chunk);
        rows.extend((0..chunk as u64).map(|row| [row; 5]));
        chunks.push(rows);
    }
    let (held, resident) = ((chunks.len() * chunk * size_of::<Row>()) as f64 / 1_048_576.0, resident_mib()? - before);
    println!("{chunk:>6} rows a chunk: {held:.0} MiB of rows, {resident:.0} resident, {:.2} times", resident / held);
    Ok(())
}

fn resident_mib() -> Result<f64, Box<dyn Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("proc(5) has no VmRSS")?;
    let kib: f64 = line.split_whitespace().next().ok_or("VmRSS is empty")?.parse()?;
    Ok(kib / 1_024.0)
}
