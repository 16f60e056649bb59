//! What a copy of a TLS record's 16 KiB costs by where its target lies, next to its source, in a page:
//!
//! `cargo run --release --example copy_cost -p xinhub-server`
//!
//! Where some offsets cost many times what others do, long answers have to keep away from them: `RECORD_BYTES` in `src/tls.rs`.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock; nothing is decided by it")]

use std::hint::black_box;
use std::time::Instant;

const PAGE: usize = 4_096;
const RECORD: usize = 16 * 1_024;
const COPIES: usize = 1_000;
const ROUNDS: usize = 5;
const AHEAD: [usize; 12] = [0, 1, 5, 14, 17, 31, 32, 64, 512, 2_048, 4_064, 4_095];

/// A page's begin, with room for a record that begins anywhere in the page.
fn paged(memory: &mut Vec<u8>) -> &mut [u8] {
    memory.resize(RECORD + 2 * PAGE, 1);
    let begin = memory.as_ptr().align_offset(PAGE);
    &mut memory[begin..begin + RECORD + PAGE]
}

fn main() {
    let (mut source, mut target) = (Vec::new(), Vec::new());
    let (source, target) = (paged(&mut source), paged(&mut target));
    for _ in 0..ROUNDS {
        for ahead in AHEAD {
            let since = Instant::now();
            for _ in 0..COPIES {
                black_box(&mut target[ahead..][..RECORD]).copy_from_slice(black_box(&source[..RECORD]));
            }
            let ns = since.elapsed().as_nanos() as f64 / COPIES as f64;
            println!("  {ahead:>5} bytes ahead {ns:>8.0} ns");
        }
        println!();
    }
}
