//! The same batch both ways: a message for each identity, and packed.

use jiff::civil::date;
use tonic::{Code, Request};
use xinhub_api::convert::{not_listed, timestamp_to};
use xinhub_api::reason::Reason;
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{self, BatchCheckRequest, BatchCheckResponse, Identity, IdentityKind, PackedIdentities};
use xinhub_domain::identity::synthetic;
use xinhub_domain::time::Timestamp;

use super::bench::{Bench, head, subject};
use super::refused;
use crate::audit;

const EXEMPT: u16 = 3;

fn identity(kind: IdentityKind, number: &str, issuing_state: &str) -> Identity {
    Identity { kind: kind.into(), number: number.to_owned(), issuing_state: issuing_state.to_owned() }
}

/// Listed and not, exempt, minors, oddly written, and no identities at all.
fn pool() -> Vec<Identity> {
    use IdentityKind::{OrganisationCode, Passport, ResidentId, Unspecified, Uscc};
    let minor = synthetic::resident_id("110101", date(2020, 1, 1), 7);
    let listed = subject(1).number;
    vec![
        subject(1),
        subject(2),
        subject(EXEMPT),
        subject(4),
        subject(5),
        identity(ResidentId, &format!("  {listed}\t"), ""),
        identity(ResidentId, &minor, ""),
        identity(ResidentId, "", ""),
        identity(ResidentId, "110101198001010000", ""),
        identity(ResidentId, &"1".repeat(300), ""),
        identity(ResidentId, &listed, "FRA"),
        identity(Uscc, "91110101000000019Y", ""),
        // A wrong check character: flagged, never confirmed.
        identity(Uscc, "911101010000000190", ""),
        identity(OrganisationCode, "00000001-9", ""),
        identity(Passport, "E12345678", "FRA"),
        identity(Passport, "E12345678", "DEU"),
        identity(Passport, "E12345678", ""),
        identity(Unspecified, &listed, ""),
    ]
}

/// The same numbers on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound
    }
}

fn pack(identities: &[Identity], numbers: &mut Numbers) -> Vec<PackedIdentities> {
    let mut packed: Vec<PackedIdentities> = Vec::new();
    for identity in identities {
        match packed.last_mut() {
            // A run may be cut anywhere.
            Some(last)
                if (last.kind, &last.issuing_state) == (identity.kind, &identity.issuing_state)
                    && numbers.below(5) > 0 =>
            {
                last.numbers = format!("{}\n{}", last.numbers, identity.number);
            }
            Some(_) | None => packed.push(PackedIdentities {
                kind: identity.kind,
                numbers: identity.number.clone(),
                issuing_state: identity.issuing_state.clone(),
            }),
        }
    }
    packed
}

/// The results that a packed response stands for.
fn unpacked(response: BatchCheckResponse) -> Vec<Option<ItemResult>> {
    assert!(response.results.is_empty());
    let packed = response.packed.unwrap();
    let mut results: Vec<_> = packed
        .verdicts
        .iter()
        .map(|verdict| (*verdict == v1::Verdict::Clear as u8).then(|| ItemResult::Answer(not_listed())))
        .collect();
    let mut last = None;
    for one in packed.results {
        assert!(last < Some(one.position), "positions ascend");
        last = Some(one.position);
        let at = one.position as usize;
        let result = one.result.and_then(|result| result.result);
        let verdict = match &result {
            Some(ItemResult::Answer(answer)) => answer.verdict,
            Some(ItemResult::Error(_)) | None => 0,
        };
        assert_eq!(i32::from(packed.verdicts[at]), verdict, "the byte says what the result says");
        assert_ne!(result, Some(ItemResult::Answer(not_listed())), "a byte would have said it");
        results[at] = result;
    }
    results
}

/// What may differ between the records of two calls that ask the same is made the same.
fn comparable(mut call: audit::Call) -> audit::Call {
    (call.id, call.request_id, call.time) = ([0; 16], [0; 16], Timestamp(0));
    for listing in call.details.iter_mut().flat_map(|detail| &mut detail.listings) {
        // Sealed under a nonce of its own.
        listing.view = listing.view.as_ref().map(|_| Vec::new());
    }
    call
}

fn without_slip_reference(mut result: Option<ItemResult>) -> Option<ItemResult> {
    if let Some(ItemResult::Answer(v1::Answer { slip: Some(slip), .. })) = &mut result {
        *slip = v1::Slip { court: slip.court.clone(), ..v1::Slip::default() };
    }
    result
}

/// Lists `EXEMPT`, and exempts them.
async fn list_exempt(bench: &Bench) {
    let listing = bench.list(EXEMPT).await;
    let now = bench.hub.clock.wall().0;
    let at = |ms: i64| Some(timestamp_to(Timestamp(ms)));
    let content = v1::ExemptionContent {
        identity: Some(subject(EXEMPT)),
        from: at(now - 60_000),
        until: at(now + 86_400_000),
        ground: "illness".into(),
        approver: "president-1".into(),
        ..v1::ExemptionContent::default()
    };
    let request = v1::ExemptRequest { mutation: head("", "a"), listing, content: Some(content) };
    bench.registry("court").exempt(request).await.unwrap();
}

#[tokio::test]
async fn packed_or_not_the_answers_and_the_records_are_the_same() {
    let bench = Bench::new().await;
    bench.list(1).await;
    bench.list(2).await;
    list_exempt(&bench).await;
    let pool = pool();
    // Who is told of a listing for the first time has that on record in the journal, and so another revision after it.
    for (client, measure, item) in [("bank", "credit.lending", ""), ("hotel", "consumption.hotel", "star_rated")] {
        let packed = pack(&pool, &mut Numbers(1));
        let request = BatchCheckRequest { measure: measure.into(), item: item.into(), packed, ..Default::default() };
        bench.lookup(client).batch_check(request).await.unwrap();
    }
    for seed in 0..60 {
        // For the quota.
        bench.clock.advance_ms(1_000);
        let mut numbers = Numbers(seed);
        let count = 1 + numbers.below(40);
        let identities: Vec<Identity> = (0..count).map(|_| pool[numbers.below(pool.len())].clone()).collect();
        let (client, measure, item) = match seed % 2 {
            0 => ("bank", "credit.lending", ""),
            _ => ("hotel", "consumption.hotel", ["star_rated", "no such item"][numbers.below(2)]),
        };
        // An item that is not granted is refused as a whole.
        let request = BatchCheckRequest { measure: measure.into(), item: item.into(), ..Default::default() };
        let inquiries = identities.iter().map(|one| v1::Inquiry { identity: Some(one.clone()), ..Default::default() });
        let plain = BatchCheckRequest { inquiries: inquiries.collect(), ..request.clone() };
        let packed = BatchCheckRequest { packed: pack(&identities, &mut numbers), ..request };
        let mut lookup = bench.lookup(client);
        let plain = lookup.batch_check(Request::new(plain)).await;
        let packed = lookup.batch_check(Request::new(packed)).await;
        match (plain, packed) {
            (Ok(plain), Ok(packed)) => {
                let (plain, packed) = (plain.into_inner(), packed.into_inner());
                assert_eq!((&plain.position, &plain.use_by), (&packed.position, &packed.use_by), "seed {seed}");
                assert!(plain.packed.is_none());
                let plain = plain.results.into_iter().map(|one| without_slip_reference(one.result));
                let packed = unpacked(packed).into_iter().map(without_slip_reference);
                assert_eq!(plain.collect::<Vec<_>>(), packed.collect::<Vec<_>>(), "seed {seed}");
            }
            (Err(plain), Err(packed)) => assert_eq!(plain.message(), packed.message(), "seed {seed}"),
            (plain, packed) => panic!("seed {seed}: {plain:?} and {packed:?}"),
        }
        let mut calls = bench.calls().into_iter().rev().map(comparable);
        let (packed, plain) = (calls.next(), calls.next());
        if client == "bank" {
            assert_eq!(packed, plain, "seed {seed}");
        }
    }
}

#[tokio::test]
async fn whoever_gets_one_bit_is_not_told_of_an_exemption_by_how_an_answer_is_packed() {
    let bench = Bench::new().await;
    list_exempt(&bench).await;
    let packed = pack(&[subject(EXEMPT), subject(9)], &mut Numbers(1));
    let (measure, item) = ("consumption.hotel".into(), "star_rated".into());
    let request = BatchCheckRequest { measure, item, packed, ..Default::default() };
    let packed = bench.lookup("hotel").batch_check(request).await.unwrap().into_inner().packed.unwrap();
    assert_eq!(packed, v1::PackedResults { verdicts: vec![v1::Verdict::Clear as u8; 2], results: vec![] });
}

#[tokio::test]
async fn a_packed_batch_has_the_bounds_of_one_that_is_not() {
    let bench = Bench::new().await;
    let group = |count: usize| PackedIdentities {
        kind: IdentityKind::ResidentId.into(),
        numbers: vec!["1"; count].join("\n"),
        issuing_state: String::new(),
    };
    let request = |packed: Vec<PackedIdentities>, inquiries: Vec<v1::Inquiry>| BatchCheckRequest {
        measure: "credit.lending".into(),
        packed,
        inquiries,
        ..Default::default()
    };
    let answered = bench.lookup("bank").batch_check(request(vec![group(400), group(600)], vec![])).await;
    let answered = answered.unwrap().into_inner().packed.unwrap();
    assert_eq!((answered.verdicts, answered.results.len()), (vec![0; 1_000], 1_000));
    let too_many = bench.lookup("bank").batch_check(request(vec![group(5_000), group(5_001)], vec![])).await;
    let status = refused(too_many, Code::InvalidArgument, Reason::BatchTooLarge);
    assert!(status.message().starts_with("packed: has 10001"), "{status:?}");
    let both = bench.lookup("bank").batch_check(request(vec![group(1)], vec![v1::Inquiry::default()])).await;
    refused(both, Code::InvalidArgument, Reason::InvalidField);
}
