//! `xinhub import`: a file in the courts' own layout, sent as it is. The hub reads it; here nothing of it is understood.

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use xinhub_client::v1::import_listings_request::Part as Sent;
use xinhub_client::{Responses, v1};

use crate::args::{ActorArgs, ConnectArgs, GlobalArgs};
use crate::codes::label;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Line, Out};
use crate::session::{Session, checked_uuid};
use crate::{shapes, words};

/// The hub takes at most 1 MiB; a quarter of it keeps the stream's window busy.
const CHUNK_BYTES: usize = 256 * 1024;
/// Chunks read ahead of the connection.
const CHUNKS_AHEAD: usize = 4;

/// Import a file of listings, or of relations, in the courts' own column layout
///
/// Where two people release, it waits for the second of them: see `imports`. A file of mode `complete`, the court's whole list, is
/// compared with what the hub has, and always waits for `imports confirm`.
#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// CSV in UTF-8 or GB 18030, with header and trailer; - is standard input
    file: PathBuf,
    /// The file holds relations, not listings
    #[arg(long)]
    relations: bool,
    /// Report what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Take rows that differ from a listing in force as amendments
    #[arg(long)]
    amend: bool,
    /// A UUIDv7. To go on after a break, give that of the broken import. Made, and told on standard error, if not given
    #[arg(long, value_name = "UUID")]
    import_id: Option<String>,
    #[command(flatten)]
    faults: FaultsArgs,
    #[command(flatten)]
    actor: ActorArgs,
    #[command(flatten)]
    connect: ConnectArgs,
}

/// Where faults of rows go.
#[derive(Debug, Args)]
pub(crate) struct FaultsArgs {
    /// Write faults to a CSV file (line, column, reason, message) in place of standard error
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
}

pub(crate) async fn run(args: ImportArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let session = Session::resolve(global, &args.connect)?;
    let options = options(&args, &session)?;
    let file = open(&args.file)?;
    let mut faults = Faults::open(&args.faults)?;
    let hub = session.connect().await?;
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let reading = tokio::task::spawn_blocking(move || feed(file, options, &sender));
    let told = hub.registry().import_listings(ReceiverStream::new(receiver)).await?;
    let heard = follow(told, &mut faults).await;
    faults.finish()?;
    // A file that couldn't be read to its end is the cause of what the hub then says of it.
    if reading.is_finished()
        && let Ok(read) = reading.await
    {
        read?;
    }
    show(heard?, out)
}

/// What the hub tells of a file's rows.
pub(crate) enum Told {
    Progress(v1::ImportProgress),
    Fault(v1::RowFault),
    Difference(v1::ListDifference),
    Summary(Box<v1::ImportSummary>),
}

/// What was heard of a file in all.
pub(crate) struct Heard {
    pub(crate) summary: v1::ImportSummary,
    /// Of a complete list, in the order in which they were told.
    pub(crate) differences: Vec<v1::ListDifference>,
}

/// The four messages that tell of rows.
pub(crate) trait Tells {
    fn told(self) -> Option<Told>;
}

macro_rules! told {
    ($($response:ident: $module:ident,)+) => {
        $(impl Tells for v1::$response {
            fn told(self) -> Option<Told> {
                use v1::$module::Part;
                self.part.map(|part| match part {
                    Part::Progress(progress) => Told::Progress(progress),
                    Part::Fault(fault) => Told::Fault(fault),
                    Part::Difference(difference) => Told::Difference(difference),
                    Part::Summary(summary) => Told::Summary(Box::new(summary)),
                })
            }
        })+
    };
}

told! {
    ImportListingsResponse: import_listings_response,
    PreviewImportResponse: preview_import_response,
    ApproveImportResponse: approve_import_response,
    ConfirmImportResponse: confirm_import_response,
}

/// Hears the hub out: progress to a bar, faults to where they go; the summary comes last.
pub(crate) async fn follow<T: Tells>(mut told: Responses<T>, faults: &mut Faults) -> Result<Heard, Failure> {
    let bar = progress_bar();
    let (mut summary, mut differences) = (None, Vec::new());
    let ended = loop {
        match told.next().await {
            Ok(Some(response)) => match response.told() {
                Some(Told::Progress(progress)) => {
                    bar.set_length(progress.rows_total.max(progress.rows_read));
                    bar.set_position(progress.rows_read);
                }
                Some(Told::Fault(fault)) => bar.suspend(|| faults.tell(&fault))?,
                Some(Told::Difference(difference)) => differences.push(difference),
                Some(Told::Summary(told)) => summary = Some(*told),
                None => {}
            },
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    bar.finish_and_clear();
    ended?;
    let broken = || xinhub_client::Error::Connection("the import ended without a summary".to_owned());
    Ok(Heard { summary: summary.ok_or_else(broken)?, differences })
}

fn options(args: &ImportArgs, session: &Session) -> Result<v1::ImportOptions, Failure> {
    let actor = session.actor(&args.actor)?;
    let import_id = match &args.import_id {
        Some(id) => checked_uuid(id, "--import-id")?,
        None => {
            let id = xinhub_client::request_id();
            eprintln!("import id: {id}");
            id
        }
    };
    let file = if args.relations { v1::ImportFile::Relations } else { v1::ImportFile::Listings };
    Ok(v1::ImportOptions { import_id, file: file.into(), dry_run: args.dry_run, amend: args.amend, actor: Some(actor) })
}

/// A file that is being read, with its name for messages.
struct Source {
    bytes: Box<dyn Read + Send>,
    name: String,
}

fn open(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let bytes: Box<dyn Read + Send> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(Failure::io(name.clone()))?)
    };
    Ok(Source { bytes, name })
}

/// Sends the options and then the file. Ends early, and well, when nobody takes more: the hub has refused by then. Blocks.
fn feed(
    mut file: Source,
    options: v1::ImportOptions,
    to: &mpsc::Sender<v1::ImportListingsRequest>,
) -> Result<(), Failure> {
    let mut part = Sent::Options(options);
    while to.blocking_send(v1::ImportListingsRequest { part: Some(part) }).is_ok() {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES);
        let read = (&mut file.bytes).take(CHUNK_BYTES as u64).read_to_end(&mut chunk);
        if read.map_err(Failure::io(file.name.clone()))? == 0 {
            break;
        }
        part = Sent::Chunk(chunk);
    }
    Ok(())
}

/// Seen on a terminal only.
fn progress_bar() -> ProgressBar {
    let bar = ProgressBar::no_length();
    // A template that does not parse leaves the default one.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta}") {
        bar.set_style(style);
    }
    bar
}

/// Where faults of rows are told.
pub(crate) enum Faults {
    Stderr,
    Nowhere,
    File { csv: Box<csv::Writer<BufWriter<File>>>, path: String },
}

impl Faults {
    pub(crate) fn open(args: &FaultsArgs) -> Result<Self, Failure> {
        let Some(path) = args.faults.as_deref() else { return Ok(Faults::Stderr) };
        let shown = path.display().to_string();
        let file = File::create(path).map_err(Failure::io(shown.clone()))?;
        let mut faults = Faults::File { csv: Box::new(csv::Writer::from_writer(BufWriter::new(file))), path: shown };
        faults.write(["line", "column", "reason", "message"])?;
        Ok(faults)
    }

    fn tell(&mut self, fault: &v1::RowFault) -> Result<(), Failure> {
        let reason = label::<v1::Reason>(fault.reason).unwrap_or_default();
        match self {
            Faults::Stderr => {
                let mut stderr = std::io::stderr().lock();
                // The hub's message begins with the column, where one is at fault.
                let line = format!("line {}: {} ({reason})\n", fault.line, fault.message);
                stderr.write_all(line.as_bytes()).map_err(Failure::io("standard error"))
            }
            Faults::Nowhere => Ok(()),
            Faults::File { .. } => self.write([&fault.line.to_string(), &fault.column, reason, &fault.message]),
        }
    }

    fn write(&mut self, fields: [&str; 4]) -> Result<(), Failure> {
        match self {
            Faults::Stderr | Faults::Nowhere => Ok(()),
            Faults::File { csv, path } => {
                csv.write_record(fields).map_err(|error| Failure::io(path.clone())(error.into()))
            }
        }
    }

    pub(crate) fn finish(self) -> Result<(), Failure> {
        match self {
            Faults::Stderr | Faults::Nowhere => Ok(()),
            Faults::File { mut csv, path } => csv.flush().map_err(Failure::io(path)),
        }
    }
}

/// Shows how a file went, or would go: of a complete list each difference first.
pub(crate) fn show(heard: Heard, out: &mut Out) -> Result<Exit, Failure> {
    show_differences(heard.differences, out)?;
    let shape = shapes::Import::from(heard.summary);
    let lang = out.lang;
    out.record(&shape, || {
        let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
        let mut lines: Vec<Line> = vec![
            (name("import", "导入编号"), shape.import_id.clone().unwrap_or_default()),
            (name("rows", "行数"), shape.rows.to_string()),
            (name("added", "新增"), shape.added.to_string()),
            (name("amended", "更正"), shape.amended.to_string()),
            (name("unchanged", "未变"), shape.unchanged.to_string()),
            (name("faults", "错误"), shape.faults.to_string()),
            (name("warnings", "警告"), shape.warnings.to_string()),
        ];
        if let Some(list) = &shape.list {
            lines.extend([
                (name("gone", "应解除"), list.gone.to_string()),
                (name("newer here", "本库较新"), list.newer.to_string()),
                (name("left to a request", "须另行办理"), list.differing.to_string()),
                (name("additions held", "新增待批准"), list.waiting.to_string()),
                (name("were in force", "原有效数"), list.in_force.to_string()),
            ]);
        }
        lines.extend([(name("finished", "完成时间"), shape.finish_time.clone().unwrap_or_default())]);
        if shape.dry_run {
            lines.push((name("dry run", "试运行"), name("nothing was changed", "未作任何更改").to_owned()));
        }
        lines.extend(shape.staged.as_ref().and_then(|staged| waits(staged, lang)));
        lines
    })?;
    Ok(if shape.faults > 0 { Exit::RowFaults } else { Exit::Success })
}

/// For what a file waits.
fn waits(staged: &shapes::StagedImport, lang: Lang) -> Option<Line> {
    let (import, until) = (staged.import, &staged.release_by);
    let text = match (staged.state?, &*staged.mode, lang) {
        ("STAGED", "complete", Lang::En) => format!("as import {import} for its confirmation, until {until}"),
        ("STAGED", "complete", Lang::Zh) => format!("导入 {import} 待确认，截至 {until}"),
        ("STAGED" | "CONFIRMED", _, Lang::En) => format!("as import {import} for a second clerk, until {until}"),
        ("STAGED" | "CONFIRMED", _, Lang::Zh) => format!("导入 {import} 待另一人批准，截至 {until}"),
        (_, _, _) => return None,
    };
    Some((lang.pick("waits", "待批准"), text))
}

fn show_differences(differences: Vec<v1::ListDifference>, out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        return differences.into_iter().try_for_each(|one| out.json(&shapes::Difference::from(one)));
    }
    if differences.is_empty() {
        return Ok(());
    }
    let lang = out.lang;
    let header = match lang {
        Lang::En => ["difference", "listing", "line", "fields"],
        Lang::Zh => ["差异", "名单编号", "行", "字段"],
    };
    let number = |number: u64| if number == 0 { String::new() } else { number.to_string() };
    let rows = differences.iter().map(|one| {
        let kind = words::list_difference(one.kind(), lang).to_owned();
        vec![kind, number(one.listing), number(one.line), one.fields.join(", ")]
    });
    out.table(&header, rows)
}
