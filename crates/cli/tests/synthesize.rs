//! The generator: the same seed gives the same bytes, every row is valid by the domain's own rules, and files are whole.
#![allow(clippy::unwrap_used)]

use std::collections::{HashMap, HashSet};
use std::io::Write;
use std::sync::Arc;

use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use xinhub_cli::synthesize::layout::{ANSWER_COLUMNS, CONDUCTS, ORGANISATION, PERSON, RELATION_COLUMNS};
use xinhub_cli::synthesize::{Encoding, Mode, Outputs, Settings, Summary, synthesize};
use xinhub_domain::case_number::CaseNumber;
use xinhub_domain::identity::{Identity, Kind, Source, Subject, fitting_kinds};
use xinhub_domain::import::{Header, ListingColumn, ListingRows, RelationColumn, RelationRows};
use xinhub_domain::measure::Catalogue;
use xinhub_domain::name::Name;
use xinhub_domain::policy::Policy;

const ROWS: u64 = 5_000;
const AS_OF_DAY: Date = jiff::civil::date(2026, 3, 1);

fn settings() -> Settings {
    Settings {
        rows: ROWS,
        seed: 7,
        court: "leizhou".to_owned(),
        court_name: "雷州市人民法院".to_owned(),
        court_code: "粤0882".to_owned(),
        signer: "p-001".to_owned(),
        mode: Mode::Current,
        encoding: Encoding::Utf8,
        bom: false,
        as_of: "2026-03-01T00:00:00+08:00".parse::<Timestamp>().unwrap(),
    }
}

struct Made {
    listings: Vec<u8>,
    relations: Vec<u8>,
    answers: Vec<u8>,
    summary: Summary,
}

fn make(settings: &Settings) -> Made {
    let (mut listings, mut relations, mut answers) = (Vec::new(), Vec::new(), Vec::new());
    let outputs = Outputs { listings: &mut listings, relations: Some(&mut relations), answers: Some(&mut answers) };
    let summary = synthesize(settings, outputs, |_| ()).unwrap();
    Made { listings, relations, answers, summary }
}

/// The rows of an import file as maps from column to text, after its header and trailer were checked.
fn rows(file: &[u8], columns: &[&str]) -> Vec<HashMap<String, String>> {
    let header_end = file.iter().position(|&byte| byte == b'\n').unwrap() + 1;
    let trailer = file.windows(6).rposition(|window| window == b"\n#end;").unwrap() + 1;
    let between = &file[header_end..trailer];
    let mut csv = csv::Reader::from_reader(between);
    assert_eq!(csv.headers().unwrap(), columns);
    let rows: Vec<HashMap<String, String>> = csv.deserialize().map(Result::unwrap).collect();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, between);
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = format!("#end;rows={};sha256={hex}\n", rows.len());
    assert_eq!(std::str::from_utf8(&file[trailer..]).unwrap(), expected);
    rows
}

fn columns(mode: Mode) -> Vec<&'static str> {
    ListingColumn::of(mode).iter().map(|column| column.as_str()).collect()
}

fn header(file: &[u8]) -> &str {
    std::str::from_utf8(file.split(|&byte| byte == b'\n').next().unwrap()).unwrap()
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    let (one, two) = (make(&settings()), make(&settings()));
    assert!(one.listings == two.listings && one.relations == two.relations && one.answers == two.answers);
    let other = make(&Settings { seed: 8, ..settings() });
    assert!(one.listings != other.listings);
    // A longer file begins with the shorter one: rows don't depend on how many follow.
    let longer = make(&Settings { rows: ROWS + 10, ..settings() });
    let rows_end = one.listings.windows(6).rposition(|window| window == b"\n#end;").unwrap();
    assert!(longer.listings.starts_with(&one.listings[..rows_end]));
}

#[test]
fn every_row_is_valid() {
    let made = make(&settings());
    assert_eq!(
        header(&made.listings),
        "#xinhub-import;format=1;court=leizhou;as_of=2026-03-01T00:00:00+08:00;mode=current;signer=p-001"
    );
    let columns = columns(Mode::Current);
    let rows = rows(&made.listings, &columns);
    assert_eq!(u64::try_from(rows.len()).unwrap(), made.summary.rows);
    let mut keys = HashSet::new();
    for row in &rows {
        check_row(row);
        assert!(keys.insert((row["caseCode"].clone(), row["cardNum"].clone())), "a case and subject twice");
    }
}

fn check_row(row: &HashMap<String, String>) {
    let is_person = match &*row["partyTypeName"] {
        PERSON => true,
        ORGANISATION => false,
        other => panic!("{other}"),
    };
    let sort = if is_person { Subject::Person } else { Subject::Organisation };
    let kinds = fitting_kinds(&row["cardNum"], sort, AS_OF_DAY);
    assert_eq!(kinds.len(), 1, "{kinds:?}: the kind of a row must be plain");
    let identity = Identity::parse(kinds[0], &row["cardNum"], None, Source::Court, AS_OF_DAY).unwrap();
    assert!(identity.warnings().is_empty(), "{:?}", identity.warnings());
    let published: Date = row["publishDate"].parse().unwrap();
    assert!(!identity.is_minor(published).unwrap_or(false));
    Name::parse(&row["iname"]).unwrap();
    assert!(!CaseNumber::parse(&row["caseCode"]).unwrap().is_flagged());
    // Marked as synthetic, twice.
    assert!(row["gistId"].starts_with("（合成）") && row["duty"].starts_with("合成数据"));
    let ground: usize = row["ground"].parse().unwrap();
    assert!(CONDUCTS[ground - 1].contains(&&*row["disruptTypeName"]));
    let [filed, noticed, decided, served] = ["regDate", "noticeServedDate", "decisionDate", "servedDate"]
        .map(|column| row[column].parse::<Date>().unwrap());
    assert!(filed < noticed && noticed < decided && decided <= served && served <= published && published < AS_OF_DAY);
    match ground {
        1 => assert_eq!(row["termMonths"], ""),
        _ => {
            assert_eq!(row["termMonths"], "24");
            assert!(decided.checked_add(24.months()).unwrap() > AS_OF_DAY, "the term is over");
        }
    }
    if is_person {
        assert!(row["age"].parse::<u32>().unwrap() >= 19 && ["男", "女"].contains(&&*row["sexy"]));
        assert_eq!(row["businessEntity"], "");
    } else {
        assert!(row["age"].is_empty() && row["sexy"].is_empty() && !row["businessEntity"].is_empty());
    }
}

#[test]
fn relations_belong_to_rows() {
    let made = make(&settings());
    let columns = columns(Mode::Current);
    let listed: HashMap<(String, String), String> = rows(&made.listings, &columns)
        .into_iter()
        .map(|row| ((row["caseCode"].clone(), row["cardNum"].clone()), row["businessEntity"].clone()))
        .collect();
    let relations = rows(&made.relations, &RELATION_COLUMNS.map(RelationColumn::as_str));
    assert!(u64::try_from(relations.len()).unwrap() >= made.summary.organisations);
    for row in &relations {
        let representative = &listed[&(row["caseCode"].clone(), row["cardNum"].clone())];
        let kind = Kind::from_code(&row["kind"]).unwrap();
        let identity = Identity::parse(kind, &row["number"], None, Source::Court, AS_OF_DAY).unwrap();
        assert_eq!(identity.subject(), Subject::Person);
        assert!(row["from"].parse::<Date>().unwrap() < AS_OF_DAY && !row["basisDocument"].is_empty());
        if row["role"] == "legal_representative" {
            assert_eq!(representative, &row["name"]);
        }
    }
}

#[test]
fn the_mix_is_realistic() {
    let made = make(&settings());
    let persons = made.summary.persons * 100 / made.summary.rows;
    assert!((70..80).contains(&persons), "{persons} % persons");
    let text = String::from_utf8(made.listings).unwrap();
    assert!(text.contains('·'), "no name with a middle dot");
    assert!(text.chars().any(|c| u32::from(c) > 0xFFFF), "no character outside the BMP");
    for ground in CONDUCTS {
        assert!(ground.iter().any(|conduct| text.contains(conduct)), "{ground:?} never occurs");
    }
    let answers = String::from_utf8(made.answers).unwrap();
    let mut csv = csv::Reader::from_reader(answers.as_bytes());
    assert_eq!(csv.headers().unwrap(), &ANSWER_COLUMNS[..]);
    let expected: Vec<String> = csv.records().map(|record| record.unwrap()[3].to_owned()).collect();
    assert_eq!(u64::try_from(expected.len()).unwrap(), made.summary.answers);
    for wanted in ["debtor", "legal_representative", "none"] {
        assert!(expected.iter().any(|value| value == wanted), "{wanted}");
    }
}

#[test]
fn nobody_is_drawn_for_two_uses() {
    let made = make(&settings());
    let mut expected: HashMap<String, String> = HashMap::new();
    for record in csv::Reader::from_reader(&*made.answers).records() {
        let record = record.unwrap();
        let before = expected.insert(record[1].to_owned(), record[3].to_owned());
        assert!(before.is_none_or(|before| before == record[3]), "one number as {}", &record[3]);
    }
}

#[test]
fn encodings_hold_the_same_rows() {
    let plain = make(&settings());
    let check = |encoding, bom, start: &[u8]| {
        let made = make(&Settings { encoding, bom, ..settings() });
        let rest = made.listings.strip_prefix(start).unwrap();
        assert!(rest.starts_with(b"#xinhub-import;format=1;"));
        let (text, had_errors) = match encoding {
            Encoding::Utf8 => encoding_rs::UTF_8.decode_without_bom_handling(rest),
            Encoding::Gb18030 => encoding_rs::GB18030.decode_without_bom_handling(rest),
        };
        assert!(!had_errors);
        let without_trailer = |text: &str| text[..text.rfind("#end;").unwrap()].to_owned();
        assert!(without_trailer(&text) == without_trailer(std::str::from_utf8(&plain.listings).unwrap()));
    };
    check(Encoding::Utf8, false, b"");
    check(Encoding::Utf8, true, b"\xEF\xBB\xBF");
    check(Encoding::Gb18030, false, b"");
    check(Encoding::Gb18030, true, b"\x84\x31\x95\x33");
}

#[test]
fn a_migration_file_has_no_decisions() {
    let made = make(&Settings { mode: Mode::Migration, ..settings() });
    assert!(header(&made.listings).contains(";mode=migration;"));
    assert_eq!(rows(&made.listings, &columns(Mode::Migration)).len(), usize::try_from(ROWS).unwrap());
}

/// The rows between header and trailer as the hub reads them.
fn records(file: &[u8]) -> (Header, csv::StringRecord, Vec<csv::StringRecord>) {
    let trailer = file.windows(6).rposition(|window| window == b"\n#end;").unwrap() + 1;
    let mut csv = csv::Reader::from_reader(&file[header(file).len() + 1..trailer]);
    let columns = csv.headers().unwrap().clone();
    (Header::parse(header(file)).unwrap(), columns, csv.records().map(Result::unwrap).collect())
}

#[test]
fn the_hub_takes_every_row() {
    let policy = "format = 1\nrelease = \"one\"\ngo_live = 2099-01-01\n[[court]]\nid = \"leizhou\"\nname_zh = \"雷州市人民法院\"\n";
    let policy = Arc::new(Policy::parse(policy, Catalogue::shipped()).unwrap());
    let now = xinhub_domain::time::Timestamp(settings().as_of.as_millisecond());
    for mode in [Mode::Migration, Mode::Current] {
        let made = make(&Settings { mode, ..settings() });
        let (header, columns, rows) = records(&made.listings);
        let listings = ListingRows::new(&header, &columns, Arc::clone(&policy)).unwrap();
        for row in &rows {
            let (_, warnings) = listings.content(row, now).unwrap_or_else(|fault| panic!("{mode}: {}", fault.message));
            assert!(warnings.is_empty(), "{warnings:?}");
        }
        let (_, columns, rows) = records(&made.relations);
        let relations = RelationRows::new(&columns).unwrap();
        for row in &rows {
            relations.relation(row, now).unwrap_or_else(|fault| panic!("{mode}: {}", fault.message));
        }
    }
}

/// Writing fails after so many bytes, as on a full disk.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0 = self.0.checked_sub(bytes.len()).ok_or_else(|| std::io::Error::other("full"))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_is_told() {
    let outputs = Outputs { listings: &mut Full(10_000), relations: None, answers: None };
    assert!(synthesize(&settings(), outputs, |_| ()).unwrap_err().to_string().contains("full"));
}
