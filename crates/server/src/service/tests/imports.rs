//! Files that wait for a second person.

use aws_lc_rs::digest;
use tonic::{Code, Status, Streaming};
use xinhub_api::reason::Reason;
use xinhub_api::v1::{self, import_listings_request as asked, import_listings_response as told};
use xinhub_domain::import::{Header, ListingColumn, Mode, Trailer};
use xinhub_domain::time::Timestamp;
use xinhub_ledger::clock::Clock as _;

use super::bench::{Bench, POLICY, head, subject};
use super::refused;

async fn two(rate: u32) -> Bench {
    let policy = POLICY.replace("release = \"one\"", "release = \"two\"");
    Bench::with(&policy.replace("rate_per_second = 1000", &format!("rate_per_second = {rate}"))).await
}

/// A file of one row, as of so many milliseconds ago.
fn file(bench: &Bench, age_ms: i64) -> Vec<u8> {
    let as_of = Timestamp(bench.clock.wall().0 - age_ms);
    let header = Header { court: "court-1".into(), as_of, mode: Mode::Migration, signer: "js".into() };
    let columns: Vec<&str> = ListingColumn::of(Mode::Migration).iter().map(|column| column.as_str()).collect();
    let number = subject(1).number;
    let body = format!(
        "{}\n甄士隐,男,46,{number},（2025）粤0882执1234号,测试法院,广东,(2024)粤0882民初99号,测试法院,偿还借款,全部未履行,,,\
         违反财产报告制度,2025年04月05日,2025-01-05,,自然人\n",
        columns.join(",")
    );
    let sha256 = digest::digest(&digest::SHA256, body.as_bytes()).as_ref().try_into().unwrap();
    format!("{header}\n{body}{}\n", Trailer { rows: 1, sha256 }).into_bytes()
}

/// Sends a file by `a`; returns the number under which it waits.
async fn send(bench: &Bench, import_id: &str, file: Vec<u8>) -> Result<u64, Status> {
    let options = v1::ImportOptions {
        import_id: import_id.to_owned(),
        file: v1::ImportFile::Listings as i32,
        actor: head("", "a").unwrap().actor,
        ..Default::default()
    };
    let parts = [asked::Part::Options(options), asked::Part::Chunk(file)];
    let parts = parts.map(|part| v1::ImportListingsRequest { part: Some(part) });
    let mut answers = bench.registry("court").import_listings(tokio_stream::iter(parts)).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        if let Some(told::Part::Summary(summary)) = answer.part {
            return Ok(summary.staged.unwrap().import);
        }
    }
    panic!("no summary")
}

fn import_id() -> String {
    head("", "a").unwrap().request_id
}

async fn whole<A>(answers: Result<tonic::Response<Streaming<A>>, Status>) -> Result<usize, Status> {
    let (mut answers, mut count) = (answers?.into_inner(), 0);
    while answers.message().await?.is_some() {
        count += 1;
    }
    Ok(count)
}

async fn approve(bench: &Bench, import: u64) -> Result<usize, Status> {
    let request = v1::ApproveImportRequest { mutation: head("", "b"), import };
    whole(bench.registry("court").approve_import(request).await).await
}

async fn states(bench: &Bench) -> Vec<v1::ImportState> {
    let answer = bench.registry("court").list_imports(v1::ListImportsRequest {}).await.unwrap().into_inner();
    answer.imports.iter().map(v1::StagedImport::state).collect()
}

/// It was answered with NOT_FOUND, as if nobody had rejected anything.
#[tokio::test]
async fn a_rejection_sent_again_is_answered_as_before() {
    let bench = two(1000).await;
    let import = send(&bench, &import_id(), file(&bench, 1_000)).await.unwrap();
    let reject = v1::RejectImportRequest { mutation: head("", "a"), import, note: "重复报送".to_owned() };
    for _ in 0..2 {
        bench.registry("court").reject_import(reject.clone()).await.unwrap();
    }
    assert_eq!(states(&bench).await, []);
    let anew = v1::RejectImportRequest { mutation: head("", "a"), ..reject };
    refused(bench.registry("court").reject_import(anew).await, Code::NotFound, Reason::NotFound);
}

/// It was released first, and could be neither taken nor rejected any more: it held its place until it lapsed.
#[tokio::test]
async fn a_file_that_is_lost_is_not_released_and_can_be_rejected() {
    let bench = two(1000).await;
    let import = send(&bench, &import_id(), file(&bench, 1_000)).await.unwrap();
    for entry in std::fs::read_dir(bench.staging()).unwrap() {
        std::fs::remove_file(entry.unwrap().path()).unwrap();
    }
    refused(approve(&bench, import).await, Code::Unavailable, Reason::Storage);
    assert_eq!(states(&bench).await, [v1::ImportState::Staged]);
    let reject = v1::RejectImportRequest { mutation: head("", "a"), import, note: String::new() };
    bench.registry("court").reject_import(reject).await.unwrap();
}

/// It was said to wait, though what waited was to be read by the header that its court had corrected.
#[tokio::test]
async fn the_same_rows_under_another_header_are_another_file() {
    let bench = two(1000).await;
    let id = import_id();
    let import = send(&bench, &id, file(&bench, 1_000)).await.unwrap();
    assert_eq!(send(&bench, &id, file(&bench, 1_000)).await.unwrap(), import);
    refused(send(&bench, &id, file(&bench, 2_000)).await, Code::AlreadyExists, Reason::RequestIdReused);
}

/// Each of them reads the journal or a whole file, and none of them was charged.
#[tokio::test]
async fn what_waits_is_looked_at_and_decided_for_one_check_each() {
    let bench = two(1).await;
    let import = send(&bench, &import_id(), file(&bench, 1_000)).await.unwrap();
    let preview =
        || async { whole(bench.registry("court").preview_import(v1::PreviewImportRequest { import }).await).await };
    preview().await.unwrap();
    refused(preview().await, Code::ResourceExhausted, Reason::Rate);
    refused(approve(&bench, import).await, Code::ResourceExhausted, Reason::Rate);
    let list = bench.registry("court").list_imports(v1::ListImportsRequest {}).await;
    refused(list, Code::ResourceExhausted, Reason::Rate);
    let reject = v1::RejectImportRequest { mutation: head("", "a"), import, note: String::new() };
    refused(bench.registry("court").reject_import(reject).await, Code::ResourceExhausted, Reason::Rate);
    bench.clock.advance_ms(1_000);
    approve(&bench, import).await.unwrap();
}
