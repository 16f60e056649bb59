//! Import files, and how they are sent.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio_stream::iter;
use xinhub_api::v1::import_listings_request::Part as In;
use xinhub_api::v1::import_listings_response::Part as Out;
use xinhub_api::v1::{self, ImportFile as Kind, ImportListingsRequest, ImportOptions, ImportSummary, RowFault};
use xinhub_cli::synthesize::layout::RELATION_COLUMNS;
use xinhub_cli::synthesize::{Encoding, ImportFile};
use xinhub_client::{Error, Hub, Responses};
use xinhub_domain::import::{Header, ListingColumn, Mode};

use crate::Subject;
use crate::court::{case_number, clerk};
use crate::parties::{LEIZHOU, LEIZHOU_NAME};
use crate::subject::days_ago;

/// One row, by column.
pub type Row = BTreeMap<&'static str, String>;

/// A row of mode `migration` about a person or organisation, on ground ③.
pub fn row(subject: &Subject) -> Row {
    let is_person = subject.identities[0].kind() != v1::IdentityKind::Uscc;
    let text = |text: &str| text.to_owned();
    Row::from([
        ("iname", subject.name.clone()),
        ("cardNum", subject.number().to_owned()),
        ("caseCode", case_number()),
        ("courtName", text(LEIZHOU_NAME)),
        ("areaName", text("广东")),
        ("gistId", text("(2024)粤0882民初100号")),
        ("gistUnit", text(LEIZHOU_NAME)),
        ("duty", text("支付货款，以及\"利息\"")),
        ("performance", text("全部未履行")),
        ("disruptTypeName", text("隐匿、转移财产规避执行")),
        ("publishDate", days_ago(60)),
        ("regDate", days_ago(120)),
        ("partyTypeName", text(if is_person { "自然人" } else { "法人或其他组织" })),
    ])
}

/// A row of mode `current`: [`row`] with its own decision.
pub fn current_row(subject: &Subject) -> Row {
    let mut row = row(subject);
    row.extend([
        ("decisionNo", "(2025)粤0882失1号".to_owned()),
        ("decisionDate", days_ago(30)),
        ("servedDate", days_ago(25)),
        ("termMonths", "24".to_owned()),
        ("signer", "president-0001".to_owned()),
        ("ground", "3".to_owned()),
        ("noticeServedDate", days_ago(60)),
    ]);
    row
}

/// A row of a file of relations, which names the listing by case and subject.
pub fn relation_row(listing: &Row, role: &str, person: &Subject) -> Row {
    Row::from([
        ("caseCode", listing["caseCode"].clone()),
        ("cardNum", listing["cardNum"].clone()),
        ("kind", "resident_id".to_owned()),
        ("number", person.number().to_owned()),
        ("name", person.name.clone()),
        ("role", role.to_owned()),
        ("basisDocument", "工商登记".to_owned()),
        ("from", days_ago(400)),
    ])
}

/// How a file is written.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Which columns.
    pub mode: Mode,
    /// Which characters.
    pub encoding: Encoding,
    /// Whether a byte order mark goes first.
    pub bom: bool,
    /// The state of how many minutes ago it tells.
    pub age_minutes: i64,
}

impl Default for Form {
    fn default() -> Self {
        Form { mode: Mode::Migration, encoding: Encoding::Utf8, bom: false, age_minutes: 5 }
    }
}

impl Form {
    fn write(self, columns: Vec<&'static str>, rows: &[Row]) -> Vec<u8> {
        let now_ms = jiff::Timestamp::now().as_millisecond();
        let as_of = xinhub_domain::time::Timestamp(now_ms - self.age_minutes * 60_000);
        let header = Header { court: LEIZHOU.to_owned(), as_of, mode: self.mode, signer: "president-0001".to_owned() };
        let mut bytes = Vec::new();
        let columns_row = columns.iter().copied();
        let mut file = ImportFile::start(&mut bytes, self.encoding, self.bom, &header, columns_row).unwrap();
        for row in rows {
            file.row(columns.iter().map(|column| row.get(column).map_or("", String::as_str))).unwrap();
        }
        file.finish().unwrap();
        bytes
    }

    /// A file of listings.
    pub fn listings(self, rows: &[Row]) -> Vec<u8> {
        self.write(ListingColumn::of(self.mode).iter().map(|column| column.as_str()).collect(), rows)
    }

    /// A file of relations.
    pub fn relations(self, rows: &[Row]) -> Vec<u8> {
        self.write(RELATION_COLUMNS.iter().map(|column| column.as_str()).collect(), rows)
    }
}

/// What became of a file.
#[derive(Clone, Debug, Default)]
pub struct Imported {
    /// The rows that were not taken, by line.
    pub faults: Vec<RowFault>,
    /// The counts.
    pub summary: ImportSummary,
    /// How far the hub said it was, in turn.
    pub progress: Vec<u64>,
    /// Of a complete list.
    pub differences: Vec<v1::ListDifference>,
}

impl Imported {
    /// Rows added, amended, unchanged and faulty.
    pub fn counts(&self) -> (u64, u64, u64, u64) {
        let summary = &self.summary;
        (summary.added, summary.amended, summary.unchanged, summary.faults)
    }

    /// Where the faults lie: line, column, reason.
    pub fn places(&self) -> Vec<(u64, &str, v1::Reason)> {
        self.faults.iter().map(|fault| (fault.line, fault.column.as_str(), fault.reason())).collect()
    }
}

/// Options under a new import id.
pub fn options(file: Kind) -> ImportOptions {
    ImportOptions {
        import_id: xinhub_client::request_id(),
        file: file.into(),
        dry_run: false,
        amend: false,
        actor: Some(clerk()),
    }
}

/// The messages of a file, in chunks of this many bytes.
pub fn messages(options: ImportOptions, file: &[u8], chunk_bytes: usize) -> Vec<ImportListingsRequest> {
    let message = |part| ImportListingsRequest { part: Some(part) };
    let chunks = file.chunks(chunk_bytes).map(|chunk| message(In::Chunk(chunk.to_vec())));
    std::iter::once(message(In::Options(options))).chain(chunks).collect()
}

/// How long a file of these sizes may take; the SDK waits for ever.
const PATIENCE: Duration = Duration::from_secs(900);

/// Sends a file and hears it out.
///
/// # Errors
/// Why it was refused whole, or broke off.
///
/// # Panics
/// Where the hub never ends it.
pub async fn send(client: &Hub, options: ImportOptions, file: &[u8]) -> Result<Imported, Error> {
    tokio::time::timeout(PATIENCE, hear_out(client, options, file)).await.expect("the import never ends")
}

async fn hear_out(client: &Hub, options: ImportOptions, file: &[u8]) -> Result<Imported, Error> {
    heard(client.registry().import_listings(iter(messages(options, file, 64 << 10))).await?).await
}

/// What a waiting file would come to.
///
/// # Errors
/// Why it is not told.
///
/// # Panics
/// Where the hub never ends it.
pub async fn preview_import(client: &Hub, import: u64) -> Result<Imported, Error> {
    let told = client.registry().preview_import(v1::PreviewImportRequest { import }).await?;
    tokio::time::timeout(PATIENCE, heard(told)).await.expect("the preview never ends")
}

/// Releases a waiting file, and hears it out.
///
/// # Errors
/// Why it is not released.
///
/// # Panics
/// Where the hub never ends it.
pub async fn approve_import(client: &Hub, import: u64, actor: v1::Actor) -> Result<Imported, Error> {
    let mutation = Some(xinhub_client::mutation(actor, None));
    let told = client.registry().approve_import(v1::ApproveImportRequest { mutation, import }).await?;
    tokio::time::timeout(PATIENCE, heard(told)).await.expect("the import never ends")
}

/// Confirms a complete list of which so many are gone, and hears it out.
///
/// # Errors
/// Why it is not confirmed.
///
/// # Panics
/// Where the hub never ends it.
pub async fn confirm_import(client: &Hub, import: u64, gone: u64, actor: v1::Actor) -> Result<Imported, Error> {
    let mutation = Some(xinhub_client::mutation(actor, None));
    let request = v1::ConfirmImportRequest { mutation, import, gone, ground: "performed".to_owned() };
    let told = client.registry().confirm_import(request).await?;
    tokio::time::timeout(PATIENCE, heard(told)).await.expect("the import never ends")
}

/// The four messages that tell of a file's rows.
trait Tells {
    fn part(self) -> Option<Out>;
}

impl Tells for v1::ImportListingsResponse {
    fn part(self) -> Option<Out> {
        self.part
    }
}

impl Tells for v1::PreviewImportResponse {
    fn part(self) -> Option<Out> {
        use v1::preview_import_response::Part;
        self.part.map(|part| match part {
            Part::Progress(progress) => Out::Progress(progress),
            Part::Fault(fault) => Out::Fault(fault),
            Part::Summary(summary) => Out::Summary(summary),
            Part::Difference(difference) => Out::Difference(difference),
        })
    }
}

impl Tells for v1::ApproveImportResponse {
    fn part(self) -> Option<Out> {
        use v1::approve_import_response::Part;
        self.part.map(|part| match part {
            Part::Progress(progress) => Out::Progress(progress),
            Part::Fault(fault) => Out::Fault(fault),
            Part::Summary(summary) => Out::Summary(summary),
            Part::Difference(difference) => Out::Difference(difference),
        })
    }
}

impl Tells for v1::ConfirmImportResponse {
    fn part(self) -> Option<Out> {
        use v1::confirm_import_response::Part;
        self.part.map(|part| match part {
            Part::Progress(progress) => Out::Progress(progress),
            Part::Fault(fault) => Out::Fault(fault),
            Part::Summary(summary) => Out::Summary(summary),
            Part::Difference(difference) => Out::Difference(difference),
        })
    }
}

async fn heard<T: Tells>(mut responses: Responses<T>) -> Result<Imported, Error> {
    let mut imported = Imported::default();
    while let Some(response) = responses.next().await? {
        match response.part() {
            Some(Out::Progress(progress)) => imported.progress.push(progress.rows_read),
            Some(Out::Fault(fault)) => imported.faults.push(fault),
            Some(Out::Difference(difference)) => imported.differences.push(difference),
            Some(Out::Summary(summary)) => imported.summary = summary,
            None => panic!("an empty message"),
        }
    }
    imported.faults.sort_by_key(|fault| fault.line);
    assert!(imported.summary.finish_time.is_some(), "the import ended without a summary");
    Ok(imported)
}

/// Sends a file of listings.
///
/// # Errors
/// As [`send`].
pub async fn send_listings(client: &Hub, file: &[u8]) -> Result<Imported, Error> {
    send(client, options(Kind::Listings), file).await
}

/// Sends a file of relations.
///
/// # Errors
/// As [`send`].
pub async fn send_relations(client: &Hub, file: &[u8]) -> Result<Imported, Error> {
    send(client, options(Kind::Relations), file).await
}
