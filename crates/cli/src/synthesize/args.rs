//! `xinhub synthesize`: the generator on the command line.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use indicatif::{ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::{Encoding, Mode, Outputs, Settings, Summary, synthesize, today};
use crate::exit::{Exit, Failure};
use crate::output::Out;

/// The bar moves once for so many rows.
const ROWS_PER_TICK: u64 = 4096;

/// Make synthetic rows in the courts' own layout, as many as wanted, each marked as synthetic
#[derive(Debug, Args)]
pub struct SynthesizeArgs {
    /// How many rows of listings, at most 99,999,999
    #[arg(long)]
    rows: u64,
    /// The same seed gives the same bytes, with the other settings equal
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The court's id in the hub's policy
    #[arg(long, value_name = "ID")]
    court: String,
    /// The court's name, as the hub's policy has it
    #[arg(long, value_name = "NAME")]
    court_name: String,
    /// The court's code in case numbers
    #[arg(long, value_name = "CODE", default_value = "粤0882")]
    court_code: String,
    /// Staff id of who signs the file
    #[arg(long, value_name = "STAFF", default_value = "synthetic")]
    signer: String,
    /// The file of listings; - is standard output
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// A file of relations, to import after it
    #[arg(long, value_name = "FILE")]
    relations: Option<PathBuf>,
    /// A file of identities with what lookups should find, for `xinhub batch`
    #[arg(long, value_name = "FILE")]
    answers: Option<PathBuf>,
    /// The characters of both files
    #[arg(long, value_enum, default_value_t = Encoding::Utf8)]
    encoding: Encoding,
    /// Begin with a byte order mark
    #[arg(long)]
    bom: bool,
    /// migration: the list as published so far, whose decisions the header attests; current: with the decision of each row
    #[arg(long, default_value = Mode::Migration.as_str(), value_parser = mode())]
    mode: Mode,
    /// The instant that the file tells the state of, RFC 3339; the last midnight in China if not given
    #[arg(long, value_name = "TIME")]
    as_of: Option<Timestamp>,
}

/// The modes of import files, by their names there.
fn mode() -> impl TypedValueParser<Value = Mode> {
    let names = Mode::ALL.iter().map(|mode| mode.as_str());
    PossibleValuesParser::new(names).try_map(|name| Mode::parse(&name).ok_or("not in the list"))
}

/// Runs `xinhub synthesize`. Files get their names when they are whole.
pub(crate) fn run(args: SynthesizeArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let mut listings = Target::open(&args.out)?;
    let mut relations = args.relations.as_deref().map(Target::open).transpose()?;
    let mut answers = args.answers.as_deref().map(Target::open).transpose()?;
    let settings = Settings {
        rows: args.rows,
        seed: args.seed,
        court: args.court,
        court_name: args.court_name,
        court_code: args.court_code,
        signer: args.signer,
        mode: args.mode,
        encoding: args.encoding,
        bom: args.bom,
        as_of: args.as_of.unwrap_or_else(today),
    };
    let bar = ProgressBar::new(settings.rows);
    // A template that does not parse leaves the default one.
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {human_pos}/{human_len} rows, {per_sec}, {eta}") {
        bar.set_style(style);
    }
    let outputs = Outputs {
        listings: &mut listings.to,
        relations: relations.as_mut().map(|target| &mut target.to as &mut dyn Write),
        answers: answers.as_mut().map(|target| &mut target.to as &mut dyn Write),
    };
    let summary = synthesize(&settings, outputs, |rows| {
        if rows.is_multiple_of(ROWS_PER_TICK) {
            bar.set_position(rows);
        }
    })?;
    bar.finish_and_clear();
    let to_stdout = listings.path == Path::new("-");
    for target in [Some(listings), relations, answers].into_iter().flatten() {
        target.finish()?;
    }
    if !to_stdout {
        out.record(&summary, || lines(summary))?;
    }
    Ok(Exit::Success)
}

fn lines(summary: Summary) -> Vec<crate::output::Line> {
    vec![
        ("rows", summary.rows.to_string()),
        ("persons", summary.persons.to_string()),
        ("organisations", summary.organisations.to_string()),
        ("relations", summary.relations.to_string()),
        ("answers", summary.answers.to_string()),
    ]
}

/// A file under a name of its own until it is whole, so that nobody imports half of one.
struct Target {
    path: PathBuf,
    unfinished: PathBuf,
    to: BufWriter<Box<dyn Write>>,
}

impl Target {
    fn open(path: &Path) -> Result<Self, Failure> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(".unfinished");
        let to: Box<dyn Write> = if path == Path::new("-") {
            Box::new(io::stdout())
        } else {
            Box::new(File::create(&unfinished).map_err(Failure::io(path.display().to_string()))?)
        };
        let to = BufWriter::with_capacity(1 << 20, to);
        Ok(Self { path: path.to_owned(), unfinished: unfinished.into(), to })
    }

    fn finish(mut self) -> Result<(), Failure> {
        let failed = || Failure::io(self.path.display().to_string());
        self.to.flush().map_err(failed())?;
        if self.path != Path::new("-") {
            std::fs::rename(&self.unfinished, &self.path).map_err(failed())?;
        }
        Ok(())
    }
}
