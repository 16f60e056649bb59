//! Where two people release, a file waits, sealed, for the second of them.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;

use xinhub_domain::import::Mode;
use xinhub_tests::court::{actor, clerk};
use xinhub_tests::file::{Form, approve_import, current_row, options, preview_import, relation_row, row, send};
use xinhub_tests::v1::{ImportFile, ImportOptions, ImportState, StagedImport, Verdict};
use xinhub_tests::wait::until;
use xinhub_tests::{Ask, Code, Court, Hub, Reason, Setup, Subject, Timed, parties, refused, v1};

const LOAN: &str = "credit.lending";

async fn verdict(bank: &xinhub_client::Hub, subject: &Subject) -> Verdict {
    Ask::about(subject, LOAN).answer(bank).await.verdict()
}

async fn two() -> Hub {
    Hub::start_with(Setup { release: "two", ..Setup::default() }).await
}

async fn waiting(court: &Court) -> Vec<StagedImport> {
    court.client.registry().list_imports(v1::ListImportsRequest {}).await.unwrap().imports
}

/// The sealed copies on the disk.
fn copies(hub: &Hub) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(hub.data_dir().join("staging")).unwrap();
    entries.map(|entry| entry.unwrap().path()).collect()
}

async fn reject(court: &Court, import: u64) -> Result<v1::RejectImportResponse, xinhub_client::Error> {
    let mutation = Some(xinhub_client::mutation(clerk(), None));
    let request = v1::RejectImportRequest { mutation, import, note: "重复报送".to_owned() };
    court.client.registry().reject_import(request).await
}

#[tokio::test]
async fn a_file_lists_nobody_before_another_of_the_courts_signers_released_it() {
    let mut hub = two().await;
    let court = hub.court().await;
    let (migrated, current) = (Subject::person(), Subject::organisation());
    // Enough to fill a sealed block and begin another.
    let mut rows: Vec<_> = (0..1_200).map(|_| row(&Subject::person())).collect();
    rows.push(row(&migrated));
    let migration = Form::default().listings(&rows);
    assert!(migration.len() > 256 << 10);
    let form = Form { mode: Mode::Current, ..Form::default() };
    let asked = options(ImportFile::Listings);
    let staged = send(&court.client, asked.clone(), &migration).await.unwrap();
    assert_eq!(staged.counts(), (1_201, 0, 0, 0), "what it would come to");
    let first = staged.summary.staged.unwrap();
    assert_eq!((first.import, first.state(), first.mode.as_str()), (1, ImportState::Staged, "migration"));
    let again = send(&court.client, asked.clone(), &migration).await.unwrap().summary.staged.unwrap();
    assert_eq!(again.import, first.import, "the same import waits once");
    let other = send(&court.client, asked, &form.listings(&[current_row(&current)])).await;
    refused(other, Code::AlreadyExists, Reason::RequestIdReused);
    let second = send(&court.client, options(ImportFile::Listings), &form.listings(&[current_row(&current)])).await;
    assert_eq!(second.unwrap().summary.staged.unwrap().import, 2);
    assert_eq!((waiting(&court).await.len(), copies(&hub).len()), (2, 2));

    hub.kill_and_restart().await;
    let (court, bank) = (hub.court().await, hub.client(parties::BANK).await);
    assert_eq!((waiting(&court).await.len(), copies(&hub).len()), (2, 2));
    assert_eq!(verdict(&bank, &migrated).await, Verdict::Clear);
    assert_eq!(preview_import(&court.client, 1).await.unwrap().counts(), (1_201, 0, 0, 0));
    for staff_id in [clerk().staff_id.as_str(), "judge-0001"] {
        let approved = approve_import(&court.client, 1, actor(staff_id, "judge")).await;
        refused(approved, Code::PermissionDenied, Reason::SecondPersonRequired);
    }
    let elsewhere = hub.other_court().await;
    assert!(waiting(&elsewhere).await.is_empty());
    let approved = approve_import(&elsewhere.client, 1, actor(parties::SIGNER, "judge")).await;
    refused(approved, Code::NotFound, Reason::NotFound);
    refused(preview_import(&elsewhere.client, 1).await, Code::NotFound, Reason::NotFound);
    refused(reject(&elsewhere, 1).await, Code::NotFound, Reason::NotFound);
    assert_eq!(verdict(&bank, &migrated).await, Verdict::Clear);

    let taken = approve_import(&court.client, 1, actor(parties::SIGNER, "judge")).await.unwrap();
    assert_eq!(taken.counts(), (1_201, 0, 0, 0), "{:?}", taken.faults);
    assert_eq!((verdict(&bank, &migrated).await, verdict(&bank, &current).await), (Verdict::Consider, Verdict::Clear));
    let left: Vec<u64> = waiting(&court).await.iter().map(|one| one.import).collect();
    assert_eq!((left, copies(&hub).len()), (vec![2], 1));
    let once_more = approve_import(&court.client, 1, actor(parties::SIGNER, "judge")).await;
    refused(once_more, Code::NotFound, Reason::NotFound);

    reject(&court, 2).await.unwrap();
    assert_eq!(copies(&hub), Vec::<PathBuf>::new());
    let approved = approve_import(&court.client, 2, actor(parties::SIGNER, "judge")).await;
    refused(approved, Code::NotFound, Reason::NotFound);
    assert_eq!(verdict(&bank, &current).await, Verdict::Clear);
}

#[tokio::test]
async fn a_dry_run_waits_for_nobody_and_relations_wait_too() {
    let hub = two().await;
    let (court, unit) = (hub.court().await, hub.client(parties::UNIT).await);
    let (company, head) = (Subject::organisation(), Subject::person());
    let listing = row(&company);
    let file = Form::default().listings(std::slice::from_ref(&listing));
    let dry = ImportOptions { dry_run: true, ..options(ImportFile::Listings) };
    let dry = send(&court.client, dry, &file).await.unwrap();
    assert_eq!((dry.counts(), dry.summary.staged), ((1, 0, 0, 0), None));
    assert!(waiting(&court).await.is_empty());
    send(&court.client, options(ImportFile::Listings), &file).await.unwrap();
    let relations = Form::default().relations(&[relation_row(&listing, "legal_representative", &head)]);
    let sent = send(&court.client, options(ImportFile::Relations), &relations).await.unwrap();
    assert_eq!(sent.counts(), (0, 0, 0, 1), "the listing that it names waits itself");
    let signer = actor(parties::SECOND_SIGNER, "president");
    approve_import(&court.client, 1, signer.clone()).await.unwrap();
    let ask =
        Ask::about(&head, "transaction.real-estate").given("acquisition_only", v1::condition_answer::Answer::Met(true));
    assert_eq!(ask.clone().answer(&unit).await.verdict(), Verdict::Clear);
    assert_eq!(preview_import(&court.client, 2).await.unwrap().counts(), (1, 0, 0, 0), "by now it is there");
    approve_import(&court.client, 2, signer).await.unwrap();
    assert_eq!(ask.answer(&unit).await.verdict(), Verdict::Restricted);
}

/// The kill comes after the release was recorded and before the last row was taken: who releases again goes on.
#[tokio::test]
async fn what_a_kill_broke_off_is_released_once_more_and_goes_on() {
    let mut hub = two().await;
    let court = hub.court().await;
    let rows: Vec<_> = (0..20_000).map(|_| row(&Subject::person())).collect();
    let file = Form::default().listings(&rows);
    send(&court.client, options(ImportFile::Listings), &file).await.unwrap();
    let mutation = Some(xinhub_client::mutation(actor(parties::SIGNER, "judge"), None));
    let request = v1::ApproveImportRequest { mutation, import: 1 };
    let mut told = court.client.registry().approve_import(request).await.unwrap();
    let _some_rows = told.next().await.unwrap().unwrap();
    hub.kill_and_restart().await;
    let court = hub.court().await;
    let left = waiting(&court).await;
    assert_eq!(left[0].state(), ImportState::Released, "the kill came too late");
    let (added, _, unchanged, _) = preview_import(&court.client, 1).await.unwrap().counts();
    assert!(added > 0, "the kill came too late");
    refused(reject(&court, 1).await, Code::FailedPrecondition, Reason::State);
    let taken = approve_import(&court.client, 1, actor(parties::SECOND_SIGNER, "judge")).await.unwrap();
    assert_eq!(taken.counts(), (added, 0, unchanged, 0));
    assert_eq!(added + unchanged, 20_000);
    assert!(waiting(&court).await.is_empty() && copies(&hub).is_empty());
    hub.stop().await;
    let checked = hub.daemon("fsck");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

#[tokio::test]
async fn what_nobody_releases_in_time_lapses_and_its_copy_goes() {
    let mut hub = Timed::start_with("two").await;
    let court = hub.court().await;
    let subject = Subject::person();
    let behind_minutes = (jiff::Timestamp::now().as_millisecond() - hub.now().0) / 60_000;
    let file = Form { age_minutes: behind_minutes + 5, ..Form::default() }.listings(&[row(&subject)]);
    let import_id = hub.desk(parties::COURT).await.head("").unwrap().request_id;
    let options = ImportOptions { import_id, ..options(ImportFile::Listings) };
    let staged = send(&court.client, options, &file).await.unwrap().summary.staged.unwrap();
    let deadlines = court.client.remedy().list_deadlines(v1::ListDeadlinesRequest::default()).await.unwrap().deadlines;
    let runs: Vec<_> = deadlines.iter().map(|one| (one.clock.as_str(), one.import, one.due.as_str())).collect();
    assert_eq!(runs, [("release", 1, staged.release_by.as_str())]);
    hub.stop().await;
    hub.pass_days(60);
    hub.serve().await;
    let court = hub.court().await;
    assert!(waiting(&court).await.is_empty());
    until("its copy goes", async || copies(&hub).is_empty().then_some(())).await;
}
