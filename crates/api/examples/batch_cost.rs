//! What it costs to read an identity of a batch, with a message for each and packed, next to parsing the same numbers one by one:
//!
//! `cargo run --release -p xinhub-api --example batch_cost`
//!
//! The three go in turns. What a batch's messages cost to decode is told apart: it is prost's.
#![allow(clippy::print_stdout, reason = "its output is its purpose")]
#![allow(clippy::disallowed_methods, reason = "a measurement reads the clock; nothing is decided by it")]

use std::hint::black_box;
use std::ops::ControlFlow;
use std::time::Instant;

use jiff::civil::{Date, date};
use prost::Message;
use xinhub_api::convert::{PACKED_SEPARATOR, Whom, batch};
use xinhub_api::v1;
use xinhub_domain::identity::{Identity, Kind, Source, synthetic};

const BATCHES: usize = 200;
const BATCH: usize = 1_000;
const ROUNDS: usize = 5;
const TODAY: Date = date(2026, 1, 1);

/// Another number for each `n`.
fn number(n: usize) -> String {
    let birth = date(1940, 1, 1).saturating_add(jiff::Span::new().days((n / 1_000) as i64));
    synthetic::resident_id("110101", birth, (n % 1_000) as u16)
}

fn with_messages(numbers: &[String]) -> v1::BatchCheckRequest {
    let inquiry = |number: &String| {
        let identity =
            v1::Identity { kind: v1::IdentityKind::ResidentId.into(), number: number.clone(), ..Default::default() };
        v1::Inquiry { identity: Some(identity), ..Default::default() }
    };
    v1::BatchCheckRequest { inquiries: numbers.iter().map(inquiry).collect(), ..Default::default() }
}

fn packed(numbers: &[String]) -> v1::BatchCheckRequest {
    let numbers = numbers.join(&PACKED_SEPARATOR.to_string());
    let group = v1::PackedIdentities { kind: v1::IdentityKind::ResidentId.into(), numbers, ..Default::default() };
    v1::BatchCheckRequest { packed: vec![group], ..Default::default() }
}

/// Keeps them as a batch's are kept until all are read.
fn read(request: &v1::BatchCheckRequest) -> Vec<Whom> {
    let mut all = Vec::with_capacity(BATCH);
    let ControlFlow::Continue(()) = batch(request, TODAY, |whom| {
        all.extend(whom);
        ControlFlow::<()>::Continue(())
    }) else {
        return Vec::new();
    };
    all
}

fn time<T, U>(what: &str, some: &[T], mut work: impl FnMut(&T) -> U) {
    let since = Instant::now();
    some.iter().for_each(|one| drop(black_box(work(one))));
    println!("  {what:<40} {:>8.1} ns", since.elapsed().as_nanos() as f64 / (BATCHES * BATCH) as f64);
}

fn main() {
    let numbers: Vec<String> = (0..BATCHES * BATCH).map(number).collect();
    let by_batch: Vec<&[String]> = numbers.chunks(BATCH).collect();
    let single: Vec<_> = by_batch.iter().map(|numbers| with_messages(numbers)).collect();
    let together: Vec<_> = by_batch.iter().map(|numbers| packed(numbers)).collect();
    let (single_bytes, together_bytes): (Vec<_>, Vec<_>) =
        single.iter().zip(&together).map(|(one, other)| (one.encode_to_vec(), other.encode_to_vec())).unzip();
    for _ in 0..ROUNDS {
        println!("an identity, {BATCHES} batches of {BATCH}");
        time("parsed, one by one", &by_batch, |numbers| -> Vec<_> {
            let parse = |number: &String| Identity::parse(Kind::ResidentId, number, None, Source::LookerUp, TODAY).ok();
            numbers.iter().filter_map(parse).collect()
        });
        time("read, with a message for each", &single, read);
        time("read, packed", &together, read);
        time("decoded by prost, with a message for each", &single_bytes, |bytes| {
            v1::BatchCheckRequest::decode(&**bytes)
        });
        time("decoded by prost, packed", &together_bytes, |bytes| v1::BatchCheckRequest::decode(&**bytes));
    }
}
