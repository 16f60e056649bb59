//! No identity number and no name, in plain or as a hash that anyone could work out, in anything that a hub writes or says.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use xinhub_api::v1::condition_answer::Answer as Condition;
use xinhub_cli::synthesize::Encoding;
use xinhub_tests::court::{clerk, content, related};
use xinhub_tests::desk::{application, complaint, objection};
use xinhub_tests::file::{Form, Row, options, relation_row, row, send, send_listings, send_relations};
use xinhub_tests::leak::Secrets;
use xinhub_tests::subject::identity;
use xinhub_tests::v1::report_request::Report;
use xinhub_tests::v1::{
    AnswerReason as Why, Capacity, IdentityKind, ImportFile, ImportOptions, ObjectionGround, PartyRole, Relation,
    Verdict,
};
use xinhub_tests::{Ask, Error, Hub, Setup, Subject, parties, v1};

const LOAN: &str = "credit.lending";
/// What a party says in its own words.
const STATEMENT: &str = "本人从未拖欠该笔货款请予更正";

/// Everyone who is imported, published, asked about or got wrong in a run.
#[derive(Default)]
struct Cast {
    people: Vec<Subject>,
    companies: Vec<Subject>,
    heads: Vec<Subject>,
    nobodies: Vec<Subject>,
    wrong: Vec<Subject>,
}

impl Cast {
    fn gather() -> Cast {
        let many = |count: usize, make: fn() -> Subject| (0..count).map(|_| make()).collect();
        let mut wrong: Vec<Subject> = many(5, Subject::person);
        for subject in &mut wrong {
            // A wrong check character: refused, and no reason to write it down.
            let number = &mut subject.identities[0].number;
            let last = if number.ends_with('1') { "2" } else { "1" };
            number.replace_range(17.., last);
        }
        Cast {
            people: many(40, Subject::person),
            companies: many(20, Subject::organisation),
            heads: many(20, Subject::person),
            nobodies: many(20, Subject::person),
            wrong,
        }
    }

    fn everyone(&self) -> impl Iterator<Item = &Subject> {
        [&self.people, &self.companies, &self.heads, &self.nobodies, &self.wrong].into_iter().flatten()
    }

    fn secrets(&self) -> Secrets {
        let mut secrets = Secrets::default();
        secrets.add(STATEMENT);
        for subject in self.everyone() {
            secrets.add(&subject.name);
            for identity in &subject.identities {
                secrets.add(&identity.number);
                secrets.add(&identity.number.to_lowercase());
                if identity.kind() == IdentityKind::Uscc {
                    secrets.add(&identity.number[8..17]);
                }
            }
        }
        secrets
    }
}

/// What was said to callers besides answers: texts of errors and faults.
#[derive(Default)]
struct Said(String);

impl Said {
    fn note<T>(&mut self, result: Result<T, Error>) {
        if let Err(error) = result {
            // Debug shows everything that came over the wire.
            self.0.push_str(&format!("{error}\n{error:?}\n"));
        }
    }
}

async fn import(hub: &Hub, cast: &Cast, said: &mut Said) {
    let court = hub.court().await;
    let rows: Vec<Row> = cast.people[..30].iter().chain(&cast.companies[..15]).map(row).collect();
    let wrong = cast.wrong.iter().map(row);
    let listings: Vec<Row> = rows.iter().cloned().chain(wrong).collect();
    let form = Form { encoding: Encoding::Gb18030, bom: true, ..Form::default() };
    let dry = ImportOptions { dry_run: true, ..options(ImportFile::Listings) };
    for imported in [
        send(&court.client, dry, &form.listings(&listings)).await.unwrap(),
        send_listings(&court.client, &form.listings(&listings)).await.unwrap(),
    ] {
        assert_eq!(imported.counts(), (45, 0, 0, 5), "{:?}", imported.faults);
        said.0.push_str(&format!("{:?}", imported.faults));
    }
    let heads = rows[30..].iter().zip(&cast.heads);
    let relations: Vec<Row> = heads.map(|(row, head)| relation_row(row, "principal", head)).collect();
    let mut unknown = relation_row(&rows[30], "principal", &cast.nobodies[0]);
    unknown.insert("caseCode", "(2025)粤0882执99999999号".to_owned());
    let all: Vec<Row> = relations.into_iter().chain([unknown]).collect();
    let imported = send_relations(&court.client, &Form::default().relations(&all)).await.unwrap();
    assert_eq!((imported.summary.added, imported.summary.faults), (15, 1), "{:?}", imported.faults);
    said.0.push_str(&format!("{:?}", imported.faults));
    let cut = Form::default().listings(&listings);
    said.note(send_listings(&court.client, &cut[..cut.len() / 2]).await);
}

async fn publish(hub: &Hub, cast: &Cast, said: &mut Said) {
    let court = hub.court().await;
    for subject in cast.people[30..].iter().chain(&cast.companies[15..]) {
        let mut content = content(subject);
        content.representative_name = cast.heads[19].name.clone();
        let listed = court.publish(content.clone()).await.unwrap();
        said.note(court.publish(content.clone()).await);
        if subject.identities[0].kind() == IdentityKind::Uscc {
            let relation = related(Relation::LegalRepresentative, &cast.heads[18]);
            court.relate(listed.listing, &listed.etag, relation.clone()).await.unwrap();
            said.note(court.relate(listed.listing, &listed.etag, relation).await);
        }
        said.note(court.amend(listed.listing, "\"0\"", content).await);
    }
    for wrong in &cast.wrong {
        said.note(court.publish(content(wrong)).await);
    }
    let listed = court.list(&cast.people[39].clone().and(identity(IdentityKind::TravelPermitTaiwan, "12345678"))).await;
    court.remove(listed.listing).await.unwrap();
    said.note(court.hide(listed.listing).await);
}

/// What parties and units write in their own words, names and numbers of anybody included.
async fn petition(hub: &Hub, cast: &Cast, said: &mut Said) {
    let (court, bank, unit) = (hub.court().await, hub.client(parties::BANK).await, hub.client(parties::UNIT).await);
    let [debtor, party, other] = [10, 11, 12].map(|at| &cast.nobodies[at]);
    let listing = court.list(debtor).await.listing;
    Ask::about(debtor, LOAN).expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    let words = format!("{STATEMENT}：{}，{}", other.name, other.number());
    let mutation = || Some(xinhub_client::mutation(clerk(), None));
    let not_me = v1::PetitionContent {
        statement: words.clone(),
        documents: vec![format!("{}的身份证{}", party.name, party.number())],
        ..objection(party, PartyRole::NotMe, ObjectionGround::ShouldNotBeListed)
    };
    let case = "(2025)粤0882执777777号";
    let contents = [
        (listing, not_me.clone()),
        (listing, objection(&cast.wrong[0], PartyRole::NotMe, ObjectionGround::DataWrong)),
        (listing, v1::PetitionContent { against: party.name.clone(), ..not_me.clone() }),
        (listing, v1::PetitionContent { received_on: party.number().to_owned(), ..not_me }),
        (listing, complaint(party, party.number())),
        (0, application(party, other, case)),
        (0, application(party, other, other.number())),
    ];
    let mut filed = Vec::new();
    for (listing, content) in contents {
        let court = if listing == 0 { parties::LEIZHOU } else { "" }.to_owned();
        let request = v1::FilePetitionRequest { mutation: mutation(), listing, court, content: Some(content) };
        match unit.remedy().file_petition(request).await {
            Ok(response) => filed.push(response.outcome.unwrap()),
            refused => said.note(refused),
        }
    }
    assert_eq!(filed.len(), 2, "the objection, and the application");
    for outcome in filed {
        let mutation = Some(xinhub_client::mutation(clerk(), Some(outcome.etag)));
        let (petition, reasons) = (outcome.petition, words.clone());
        let request = v1::DecidePetitionRequest { mutation, petition, reasons, ..Default::default() };
        court.client.remedy().decide_petition(request.clone()).await.unwrap();
        said.note(court.client.remedy().decide_petition(request).await);
        let read = v1::GetPetitionRequest { petition };
        unit.remedy().get_petition(read).await.unwrap();
        said.note(bank.remedy().get_petition(read).await);
    }
    let on = xinhub_tests::subject::days_ago(0);
    let imposed = |measure: &str, item: &str| {
        let (measure, item) = (measure.to_owned(), item.to_owned());
        Report::Imposed(v1::ImposedReport { measure, item, on: on.clone() })
    };
    let report = async |report| {
        let request = v1::ReportRequest { mutation: mutation(), listing, report: Some(report) };
        bank.measures().report(request).await
    };
    report(imposed(LOAN, "")).await.unwrap();
    // A measure and an item stand in clear where the state is kept: what is none of the catalogue's is refused.
    for imposed in [imposed(LOAN, &other.name), imposed(other.number(), "")] {
        let answered = report(imposed).await;
        assert!(answered.is_err(), "{answered:?}");
        said.note(answered);
    }
    court.remove(listing).await.unwrap();
    said.note(report(Report::Handled(v1::HandledReport { note: words.clone() })).await);
    report(Report::Lifted(v1::LiftedReport { on: on.clone(), note: words })).await.unwrap();
}

async fn ask(hub: &Hub, cast: &Cast, said: &mut Said) {
    let (bank, hotel) = (hub.client(parties::BANK).await, hub.client(parties::HOTEL).await);
    let (unit, stranger) = (hub.client(parties::UNIT).await, hub.client(parties::STRANGER).await);
    hub.details_caught_up().await;
    let mut inquiries = Vec::new();
    for subject in cast.everyone() {
        let ask = || Ask::about(subject, LOAN);
        said.note(ask().name(&subject.name).response(&bank).await);
        said.note(ask().name(&cast.nobodies[0].name).response(&bank).await);
        said.note(ask().reference(subject.number()).response(&bank).await);
        said.note(Ask::about(subject, "consumption.hotel").item("star_rated").response(&hotel).await);
        // What a careless caller might put into the wrong field.
        said.note(Ask::about(subject, "consumption.hotel").item(&subject.name).response(&hotel).await);
        said.note(Ask::about(subject, subject.number()).response(&bank).await);
        said.note(ask().given(&subject.name, Condition::Met(true)).response(&bank).await);
        let house = Ask::about(subject, "transaction.real-estate");
        said.note(house.given("acquisition_only", Condition::Date(subject.number().to_owned())).response(&unit).await);
        said.note(ask().response(&stranger).await);
        inquiries.push(ask().into_inquiry());
    }
    let officer = Ask::about(&cast.companies[0], LOAN).officer(Capacity::Director, &cast.people[0]);
    officer.expect(&bank, Verdict::Consider, Why::ListedDebtor).await;
    let request = v1::BatchCheckRequest { measure: LOAN.to_owned(), inquiries, ..Default::default() };
    let batch = bank.lookup().batch_check(request).await.unwrap();
    for result in batch.results {
        if let Some(v1::batch_check_result::Result::Error(error)) = result.result {
            said.0.push_str(&format!("{error:?}"));
        }
    }
}

#[tokio::test]
async fn no_identity_and_no_name_is_written_or_said_anywhere() {
    let setup = Setup {
        top: "log = \"trace\"".to_owned(),
        ledger: "segment_mib = 1\nsnapshot_every_events = 1000".to_owned(),
        ..Setup::default()
    };
    let mut hub = Hub::start_with(setup).await;
    let (cast, mut said) = (Cast::gather(), Said::default());
    import(&hub, &cast, &mut said).await;
    publish(&hub, &cast, &mut said).await;
    petition(&hub, &cast, &mut said).await;
    hub.kill_and_restart().await;
    ask(&hub, &cast, &mut said).await;
    let metrics = hub.metrics_text().await;
    let secrets = cast.secrets();
    assert!(said.0.len() > 50_000, "little was said: {} bytes", said.0.len());
    for (place, text) in [("metrics", &metrics), ("errors", &said.0)] {
        let leaks = secrets.search(Path::new(place), text.as_bytes());
        assert!(leaks.is_empty(), "{:?}", &leaks[..leaks.len().min(20)]);
    }
    // While it runs, and once it has written its snapshot.
    nothing_leaks(&hub, &secrets);
    hub.stop().await;
    let files = nothing_leaks(&hub, &secrets);
    for class in CLASSES {
        assert!(files.contains_key(Path::new(class)), "no file of {class} was searched: {files:?}");
    }
    what_is_planted_is_found(&hub, &cast, &secrets, files);
}

/// Where a hub keeps what it keeps, below its directory.
const CLASSES: [&str; 10] = [
    "data/audit",
    "data/detail",
    "data/journal",
    "data/slots",
    "data/snapshots",
    "hub.log",
    "hub.toml",
    "keys",
    "pki",
    "policy.toml",
];

/// Searches the whole directory of a hub; returns a file of each class that holds something.
fn nothing_leaks(hub: &Hub, secrets: &Secrets) -> BTreeMap<PathBuf, PathBuf> {
    let searched = secrets.search_files(hub.dir());
    let (leaks, bytes) = (&searched.leaks, searched.bytes);
    assert!(leaks.is_empty(), "{} patterns, {bytes} bytes: {:?}", secrets.len(), &leaks[..leaks.len().min(20)]);
    assert!(bytes > 1 << 20, "little was searched: {bytes} bytes");
    let holds_something = |path: &PathBuf| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
    let class = |path: &PathBuf| {
        let below = path.strip_prefix(hub.dir()).unwrap();
        let depth = if below.starts_with("data") { 2 } else { 1 };
        below.components().take(depth).collect::<PathBuf>()
    };
    searched.files.into_iter().filter(holds_something).map(|path| (class(&path), path)).collect()
}

/// The control: a number at the end of a file of each class, another one each, and the hash of a name in one more.
fn what_is_planted_is_found(hub: &Hub, cast: &Cast, secrets: &Secrets, files: BTreeMap<PathBuf, PathBuf>) {
    let mut planted = Vec::new();
    for (path, subject) in files.into_values().zip(cast.everyone()) {
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        write!(file, "…{}…", subject.number()).unwrap();
        planted.push((path, "UTF-8"));
    }
    let hash = hub.data_dir().join("staging/control");
    fs::write(&hash, blake3::hash(cast.heads[2].name.as_bytes()).as_bytes()).unwrap();
    planted.push((hash, "BLAKE3"));
    let leaks = secrets.search_files(hub.dir()).leaks;
    let mut found: Vec<_> = leaks.into_iter().map(|leak| (leak.place, leak.form)).collect();
    found.sort_unstable();
    planted.sort_unstable();
    assert_eq!(found, planted);
}
