#![allow(clippy::unwrap_used)]
use aws_lc_rs::digest;
use encoding_rs::GB18030;
use xinhub_domain::import::{Header, ListingColumn, Mode, Trailer};
use xinhub_domain::measure::Catalogue;
use xinhub_domain::policy::{Method, Moment, RegistryAsk, decide};
use xinhub_domain::time::Day;
use xinhub_ledger::ImportRow;
use xinhub_ledger::clock::manual::ManualClock;

use super::rows::Step;
use super::*;

const COURT: &str = "雷州市人民法院";
const PERSON: &str = "110101199001010939";

fn now() -> Timestamp {
    Timestamp(Day::parse("2026-03-01").unwrap().end().0 - 1)
}

fn policy() -> Arc<Policy> {
    let text = format!(
        "format = 1\nrelease = \"one\"\ngo_live = 2099-01-01\n[[court]]\nid = \"leizhou\"\nname_zh = \"{COURT}\"\n"
    );
    Arc::new(Policy::parse(&text, Catalogue::shipped()).unwrap())
}

/// A file as a court writes it; each test bends what it is about.
#[derive(Clone)]
struct Sheet {
    bom: &'static [u8],
    header: String,
    columns: String,
    rows: Vec<String>,
    line_end: &'static str,
    gb18030: bool,
    trailer: Option<Trailer>,
}

impl Sheet {
    fn new(rows: impl IntoIterator<Item = String>) -> Sheet {
        let header = Header {
            court: "leizhou".into(),
            as_of: Timestamp(now().0 - 1_000),
            mode: Mode::Migration,
            signer: "js".into(),
        };
        let columns: Vec<&str> = ListingColumn::of(Mode::Migration).iter().map(|column| column.as_str()).collect();
        Sheet {
            bom: b"",
            header: header.to_string(),
            columns: columns.join(","),
            rows: rows.into_iter().collect(),
            line_end: "\n",
            gb18030: false,
            trailer: None,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        let lines: String =
            [&self.columns].into_iter().chain(&self.rows).flat_map(|row| [row, self.line_end]).collect();
        let body = if self.gb18030 { GB18030.encode(&lines).0.into_owned() } else { lines.into_bytes() };
        let sha256 = digest::digest(&digest::SHA256, &body).as_ref().try_into().unwrap();
        let rows = self.rows.iter().filter(|row| !row.is_empty()).count() as u64;
        let trailer = self.trailer.unwrap_or(Trailer { rows, sha256 });
        let end = self.line_end.as_bytes();
        [self.bom, self.header.as_bytes(), end, &body, trailer.to_string().as_bytes(), end].concat()
    }
}

fn row_with(name: &str, number: &str, duty: &str) -> String {
    format!(
        "{name},男,36,{number},（2025）粤0882执1234号,{COURT},广东,(2024)粤0882民初99号,{COURT},{duty},全部未履行,,,\
         违反财产报告制度,2025年04月05日,2025-01-05,,自然人"
    )
}

fn row() -> String {
    row_with("甄士隐", PERSON, "偿还借款")
}

/// What a file came to: the rows taken and told, or why it is refused whole.
struct Outcome {
    contents: Vec<(u64, Box<xinhub_domain::listing::Content>)>,
    faults: Vec<RowFault>,
    progress: Vec<u64>,
}

fn import_in(bytes: &[u8], chunk_bytes: usize) -> Result<Outcome, FileFault> {
    let dir = tempfile::tempdir().unwrap();
    let settings = ImportSettings { min_free_bytes: 0, ..ImportSettings::new(dir.path()) };
    let file = |refused| match refused {
        Refused::File(fault) => fault,
        Refused::Disk(error) => panic!("{error}"),
    };
    let mut intake = Intake::begin(&settings, "leizhou", now()).unwrap();
    for chunk in bytes.chunks(chunk_bytes) {
        intake.push(chunk).map_err(file)?;
    }
    let received = intake.finish().map_err(file)?;
    let encoding = rows::survey(&received, FileKind::Listings).map_err(file)?;
    let mut outcome = Outcome { contents: Vec::new(), faults: Vec::new(), progress: Vec::new() };
    let clock = ManualClock::at(now());
    rows::read(&received, encoding, FileKind::Listings, policy(), &clock, &mut |step| {
        match step {
            Step::Batch(batch) => {
                for (row, origin) in batch.rows.into_iter().zip(batch.origins) {
                    let ImportRow::Listing(content) = row else { panic!("a listing") };
                    outcome.contents.push((origin.line, content));
                }
            }
            Step::Fault(fault, _) => outcome.faults.push(fault),
            Step::Progress(rows) => outcome.progress.push(rows),
        }
        true
    })
    .map_err(file)?;
    drop(received);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the upload is removed");
    Ok(outcome)
}

/// The lines taken; line and column of each fault.
type Told<'a> = (&'a [u64], &'a [(u64, &'a str)]);

/// `Err`: line and a word of the refusal.
fn check(what: &str, bytes: &[u8], expected: Result<Told<'_>, (Option<u64>, &str)>) {
    for chunk_bytes in [1 << 20, 7] {
        match (import_in(bytes, chunk_bytes), expected) {
            (Ok(outcome), Ok((lines, faults))) => {
                let taken: Vec<u64> = outcome.contents.iter().map(|(line, _)| *line).collect();
                let told: Vec<(u64, &str)> = outcome.faults.iter().map(|fault| (fault.line, fault.column)).collect();
                assert_eq!((&*taken, &*told), (lines, faults), "{what}: {:?}", outcome.faults);
            }
            (Err(fault), Err((line, word))) => {
                assert!(fault.line == line && fault.problem.contains(word), "{what}: {fault:?}");
                assert!(!fault.problem.contains(PERSON), "{what}: the refusal tells a number");
            }
            (Ok(outcome), Err(_)) => panic!("{what}: {} rows taken, {:?}", outcome.contents.len(), outcome.faults),
            (Err(fault), Ok(_)) => panic!("{what}: {fault:?}"),
        }
    }
}

#[test]
fn files_that_are_taken() {
    const BOM_UTF8: &[u8] = &[0xEF, 0xBB, 0xBF];
    const BOM_GB18030: &[u8] = &[0x84, 0x31, 0x95, 0x33];
    let good = Sheet::new([row(), row()]);
    let both: Told<'_> = (&[3, 4], &[]);
    for (what, sheet) in [
        ("UTF-8", good.clone()),
        ("UTF-8 with BOM", Sheet { bom: BOM_UTF8, ..good.clone() }),
        ("GB 18030", Sheet { gb18030: true, ..good.clone() }),
        ("GB 18030 with BOM", Sheet { bom: BOM_GB18030, gb18030: true, ..good.clone() }),
        ("CRLF", Sheet { line_end: "\r\n", ..good.clone() }),
        ("GB 18030 and CRLF", Sheet { line_end: "\r\n", gb18030: true, ..good.clone() }),
    ] {
        check(what, &sheet.bytes(), Ok(both));
    }
    let bytes = good.bytes();
    check("without the last line end", bytes.strip_suffix(b"\n").unwrap(), Ok(both));
    check("no rows", &Sheet::new([]).bytes(), Ok((&[], &[])));
}

#[test]
fn lines_are_those_of_the_file() {
    let quoted = row_with("甄士隐", PERSON, "\"一、偿还借款\n二、\"\"利息\"\",\n三、费用\"");
    let bad = || row_with("甄士隐", "110101199001010008", "");
    for line_end in ["\n", "\r\n"] {
        let rows = [row(), quoted.replace('\n', line_end), row(), String::new(), bad(), row(), bad()];
        let sheet = Sheet { line_end, ..Sheet::new(rows) };
        check(line_end, &sheet.bytes(), Ok((&[3, 4, 7, 10], &[(9, "cardNum"), (11, "cardNum")])));
        let outcome = import_in(&sheet.bytes(), 4_096).unwrap();
        assert_eq!(outcome.contents[1].1.obligation, "一、偿还借款\n二、\"利息\",\n三、费用");
    }
}

#[test]
fn every_character_of_gb_18030_comes_through() {
    // Outside GBK (four bytes in GB 18030), a rare one of the plane of extensions, and the dot of a transcribed name.
    for name in ["甄𬎆", "镕𠮷", "古丽·阿依", "龘靐"] {
        for gb18030 in [false, true] {
            let sheet = Sheet { gb18030, ..Sheet::new([row_with(name, PERSON, "偿还\u{20AC}借款")]) };
            let outcome = import_in(&sheet.bytes(), 11).unwrap();
            assert_eq!(outcome.contents[0].1.name.as_str(), name, "GB 18030: {gb18030}");
        }
    }
}

#[test]
fn rows_that_can_not_be_taken_are_told_and_the_rest_goes_on() {
    let broken = |text: &str| row_with(text, PERSON, "");
    let sheet = Sheet::new([
        row(),
        broken(""),
        format!("{},more", row()),
        row().replace(COURT, "遂溪县人民法院"),
        row().replace("自然人", "？"),
        row().replace("违反财产报告制度", "其他"),
        row().replace("2025年04月05日", "2020-04-05"),
        row_with("甄士隐", "H12345678", ""),
        row(),
    ]);
    let faults: &[(u64, &str)] = &[
        (4, "iname"),
        (5, ""),
        (6, "courtName"),
        (7, "partyTypeName"),
        (8, "disruptTypeName"),
        (9, "publishDate"),
        (10, "cardNum"),
    ];
    check("one of each", &sheet.bytes(), Ok((&[3, 11], faults)));
    // The same digits pass as a credit code: the row's own word decides.
    let outcome = import_in(&Sheet::new([row()]).bytes(), 4_096).unwrap();
    assert_eq!(outcome.contents[0].1.identities.first().kind(), xinhub_domain::identity::Kind::ResidentId);
}

#[test]
fn bytes_that_are_no_text_are_a_fault_of_their_row() {
    for (gb18030, bad) in [(false, &b"\xC3\x28"[..]), (true, &b"\xFF\xFF"[..])] {
        let sheet = Sheet { gb18030, ..Sheet::new([row(), row_with("XX", PERSON, ""), row(), row()]) };
        let mut body = sheet.bytes();
        let at = body.windows(3).position(|window| window == b"XX,").unwrap();
        body[at..at + 2].copy_from_slice(bad);
        // Damaged before the digest was made.
        let start = body.iter().position(|byte| *byte == b'\n').unwrap() + 1;
        let end = body.windows(5).position(|window| window == b"#end;").unwrap();
        let sha256 = digest::digest(&digest::SHA256, &body[start..end]).as_ref().try_into().unwrap();
        body.truncate(end);
        body.extend_from_slice(Trailer { rows: 4, sha256 }.to_string().as_bytes());
        check("undecodable", &body, Ok((&[3, 5, 6], &[(4, "iname")])));
    }
}

#[test]
fn files_that_are_refused_whole() {
    let good = Sheet::new([row(), row()]);
    let bytes = good.bytes();
    let sha256 = |sheet: &Sheet| {
        let bytes = sheet.bytes();
        let end = bytes.windows(5).rposition(|window| window == b"#end;").unwrap();
        Trailer::parse(std::str::from_utf8(&bytes[end..]).unwrap().trim_end()).unwrap().sha256
    };
    let trailer = |rows, sha256| Sheet { trailer: Some(Trailer { rows, sha256 }), ..good.clone() }.bytes();
    let with_header = |from: &str, to: &str| Sheet { header: good.header.replace(from, to), ..good.clone() }.bytes();
    let with_columns = |from: &str, to: &str| Sheet { columns: good.columns.replace(from, to), ..good.clone() }.bytes();
    let mut flipped = bytes.clone();
    flipped[bytes.len() / 2] ^= 1;
    for (what, bytes, line, word) in [
        ("empty", vec![], Some(1), "must begin"),
        (
            "no header",
            bytes[bytes.iter().position(|byte| *byte == b'\n').unwrap() + 1..].to_vec(),
            Some(1),
            "must begin",
        ),
        ("a header without end", vec![b'#'; 5_000], Some(1), "must begin"),
        ("header alone", good.header.clone().into_bytes(), Some(1), "must begin"),
        ("another court", with_header("leizhou", "suixi"), Some(1), "court"),
        ("a later as_of", with_header("as_of=2026", "as_of=2027"), Some(1), "as_of"),
        ("no signer", with_header(";signer=js", ""), Some(1), "signer: is missing"),
        ("a newer format", with_header("format=1", "format=2"), Some(1), "format"),
        ("UTF-16", Sheet { bom: &[0xFF, 0xFE], ..good.clone() }.bytes(), Some(1), "UTF-16"),
        ("cut in a row", bytes[..bytes.len() * 2 / 3].to_vec(), Some(4), "trailer"),
        (
            "cut before the trailer",
            bytes[..bytes.windows(5).rposition(|w| w == b"#end;").unwrap()].to_vec(),
            Some(4),
            "trailer",
        ),
        ("cut in the trailer", bytes[..bytes.len() - 9].to_vec(), Some(5), "sha256"),
        ("a flipped bit", flipped, Some(5), "sha256"),
        ("another digest", trailer(2, [0; 32]), Some(5), "sha256"),
        ("too few rows", trailer(3, sha256(&good)), Some(5), "rows: says 3, the file has 2"),
        ("more rows", trailer(1, sha256(&good)), Some(5), "rows: says 1, the file has 2"),
        ("a column is missing", with_columns("gistId,", ""), Some(2), "missing: gistId"),
        ("an unknown column", with_columns("gistId", "gist"), Some(2), "`gist` is unknown"),
        ("data after the trailer", [bytes.clone(), row().into_bytes()].concat(), Some(6), "trailer"),
    ] {
        check(what, &bytes, Err((line, word)));
    }
}

#[test]
fn a_quote_that_is_never_closed_does_not_swallow_the_file_into_memory() {
    let open = row_with("甄士隐", PERSON, "\"偿还");
    let rows = std::iter::repeat_with(row).take(8_000);
    let sheet = Sheet::new([row(), open].into_iter().chain(rows));
    check("an open quote", &sheet.bytes(), Err((Some(4), "a quote is not closed")));
}

#[test]
fn batches_and_progress_come_in_the_order_of_the_file() {
    let outcome = import_in(&Sheet::new(std::iter::repeat_with(row).take(2_500)).bytes(), 1 << 16).unwrap();
    assert_eq!(outcome.progress, [1_000, 2_000, 2_500]);
    assert!(outcome.contents.iter().map(|(line, _)| *line).eq(3..2_503));
}

#[test]
fn an_upload_is_sealed_on_the_disk_and_leftovers_go() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ImportSettings { min_free_bytes: 0, ..ImportSettings::new(dir.path().join("staging")) };
    Importer::open(settings.clone()).unwrap();
    let mut intake = Intake::begin(&settings, "leizhou", now()).unwrap();
    intake.push(&Sheet::new(std::iter::repeat_with(row).take(4_000)).bytes()).unwrap();
    let file = std::fs::read_dir(&settings.staging_dir).unwrap().next().unwrap().unwrap().path();
    let stored = std::fs::read(&file).unwrap();
    assert!(stored.len() > 512 << 10);
    for text in [PERSON, "甄士隐", "partyTypeName"] {
        assert!(!stored.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is in clear");
    }
    // The process dies here.
    std::mem::forget(intake);
    Importer::open(settings.clone()).unwrap();
    assert!(!file.exists());
}

#[test]
fn bounds_of_size_and_space_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = Sheet::new(std::iter::repeat_with(row).take(2_000)).bytes();
    let begin = |settings: ImportSettings| Intake::begin(&settings, "leizhou", now()).unwrap().push(&bytes);
    let small = ImportSettings { max_file_bytes: 100_000, min_free_bytes: 0, ..ImportSettings::new(dir.path()) };
    assert!(matches!(begin(small), Err(Refused::File(fault)) if fault.problem.contains("100000 bytes")));
    let tight = ImportSettings { min_free_bytes: u64::MAX, ..ImportSettings::new(dir.path()) };
    assert!(matches!(begin(tight), Err(Refused::Disk(error)) if error.kind() == io::ErrorKind::StorageFull));
}

/// A policy in which the court has a client, for imports that go all the way.
fn policy_with_client() -> Arc<Policy> {
    let text = format!(
        "format = 1\nrelease = \"one\"\ngo_live = 2099-01-01\n[[court]]\nid = \"leizhou\"\nname_zh = \"{COURT}\"\n[[client]]\nid = \"clerk\"\n\
         class = \"court\"\ncourt = \"leizhou\"\nlegal_basis = \"法释〔2017〕7号\"\nexpires = 2030-01-01\nrate_per_second = 9\ndaily_quota = 9\n"
    );
    Arc::new(Policy::parse(&text, Catalogue::shipped()).unwrap())
}

#[tokio::test]
async fn a_file_sent_again_adds_nothing_and_a_dry_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let settings = xinhub_ledger::Settings {
        segment_bytes: 4 << 20,
        max_payload_bytes: 2 << 20,
        ..xinhub_ledger::Settings::new(dir.path().join("data"), dir.path().join("keys"))
    };
    xinhub_ledger::keys::Keyring::create(&settings.keys_dir).unwrap();
    Ledger::create(&settings).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    let ledger = Ledger::open(settings.clone(), Arc::clone(&clock)).unwrap();
    let staging = ImportSettings { min_free_bytes: 0, ..ImportSettings::new(dir.path().join("staging")) };
    let importer = Importer::open(staging).unwrap();
    let policy = policy_with_client();
    let permits = || {
        let ask = RegistryAsk { court: None };
        decide(&policy, "clerk", Method::ImportListings, &ask, Moment::at(now()))
            .map_err(|denial| Failure::new(Reason::MethodNotGranted, denial.to_string()))
    };
    let import = async |sheet: &Sheet, dry_run: bool| {
        let options = Options {
            import_id: Uuid::now_v7(),
            file: FileKind::Listings,
            dry_run,
            amend: false,
            actor: Actor::parse("js-007", "clerk").unwrap(),
            released: None,
            complete: None,
        };
        let chunks: Vec<_> = sheet.bytes().chunks(10_000).map(|chunk| Ok(chunk.to_vec())).collect();
        let (reports, mut told) = mpsc::channel(10_000);
        let chunks = tokio_stream::iter(chunks);
        let summary = importer.run(&ledger, &permits, &policy, options, Arc::clone(&clock), chunks, &reports).await;
        drop(reports);
        let mut faults = Vec::new();
        while let Some(report) = told.recv().await {
            if let Report::Fault(fault) = report {
                faults.push((fault.line, fault.reason));
            }
        }
        summary.map(|summary| ((summary.counts.added, summary.counts.unchanged, summary.counts.faults), faults))
    };
    let person = |seed: u16| {
        let number = xinhub_domain::identity::synthetic::resident_id("440882", jiff::civil::date(1980, 1, 2), seed);
        row_with("甄士隐", &number, "偿还借款")
    };
    let sheet = Sheet::new((0..900).map(person).chain([row_with("", PERSON, "")]));
    let missing = vec![(903, Reason::InvalidField)];
    assert_eq!(import(&sheet, true).await.unwrap(), ((900, 0, 1), missing.clone()), "a dry run");
    assert_eq!(ledger.position().revision, 0);
    // The first half came through before the line broke.
    assert_eq!(import(&Sheet::new((0..450).map(person)), false).await.unwrap(), ((450, 0, 0), vec![]));
    assert_eq!(import(&sheet, false).await.unwrap(), ((450, 450, 1), missing.clone()));
    assert_eq!(import(&sheet, false).await.unwrap(), ((0, 900, 1), missing));
    let other = Sheet::new([person(7).replace("偿还借款", "交付货物")]);
    assert_eq!(import(&other, false).await.unwrap(), ((0, 0, 1), vec![(3, Reason::ListingExists)]));
    let cut = Sheet { trailer: Some(Trailer { rows: 1, sha256: [0; 32] }), ..Sheet::new([row()]) };
    let revision = ledger.position().revision;
    assert_eq!(import(&cut, false).await.unwrap_err().reason(), Reason::ImportFile);
    assert_eq!(ledger.position().revision, revision, "a file refused whole applies nothing");
    ledger.shutdown();
}

/// It went although the journal might hold it: the file, sent again, was said to wait, and could not be released any more.
#[tokio::test]
async fn the_copy_of_a_file_stays_until_it_is_known_whether_it_waits() {
    let dir = tempfile::tempdir().unwrap();
    let settings = xinhub_ledger::Settings::new(dir.path().join("data"), dir.path().join("keys"));
    xinhub_ledger::keys::Keyring::create(&settings.keys_dir).unwrap();
    Ledger::create(&settings).unwrap();
    let clock: Arc<dyn Clock> = Arc::new(ManualClock::at(now()));
    let ledger = Ledger::open(settings.clone(), Arc::clone(&clock)).unwrap();
    let staging = ImportSettings { min_free_bytes: 0, ..ImportSettings::new(dir.path().join("staging")) };
    let importer = Importer::open(staging).unwrap();
    let chunks = tokio_stream::iter([Ok::<_, Status>(Sheet::new([row()]).bytes())]);
    let (received, encoding) = importer.receive("leizhou", FileKind::Listings, &clock, chunks).await.unwrap();
    let options = Options {
        import_id: Uuid::now_v7(),
        file: FileKind::Listings,
        dry_run: false,
        amend: false,
        actor: Actor::parse("js-007", "clerk").unwrap(),
        released: None,
        complete: None,
    };
    let ask = RegistryAsk { court: None };
    let policy = policy_with_client();
    let permit = decide(&policy, "clerk", Method::ImportListings, &ask, Moment::at(now())).unwrap();
    ledger.shutdown();
    let file = WholeFile { received, encoding };
    importer.stage(&ledger, permit, &options, file, ImportCounts::default()).await.unwrap_err();
    drop(ledger);
    let copies = || std::fs::read_dir(dir.path().join("staging")).unwrap().count();
    assert_eq!(copies(), 1);
    let ledger = Ledger::open(settings, clock).unwrap();
    importer.sweep(&ledger).await;
    assert_eq!(copies(), 0, "the next start knows that nothing waits");
    ledger.shutdown();
}
