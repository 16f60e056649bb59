#![allow(clippy::unwrap_used)]
use std::sync::Arc;

use jiff::civil::date;

use super::*;
use crate::identity::{Kind, Subject, fitting_kinds, synthetic};
use crate::listing::Ground;
use crate::measure::Catalogue;
use crate::policy::Policy;
use crate::time::Day;

const COURT: &str = "雷州市人民法院";
const PERSON: &str = "110101199001010939";

fn policy() -> Arc<Policy> {
    let text = format!(
        "format = 1\nrelease = \"one\"\ngo_live = 2099-01-01\n[[court]]\nid = \"leizhou\"\nname_zh = \"{COURT}\"\n"
    );
    Arc::new(Policy::parse(&text, Catalogue::shipped()).unwrap())
}

fn now() -> Timestamp {
    Timestamp(Day::parse("2026-03-01").unwrap().end().0 - 1)
}

fn header(mode: Mode) -> Header {
    Header { court: "leizhou".into(), as_of: Timestamp(1_700_000_000_000), mode, signer: "js-007".into() }
}

/// A good row of a listings file with some columns changed.
fn listing_row(mode: Mode, changes: &[(&str, &str)]) -> (StringRecord, StringRecord) {
    let good = |column: ListingColumn| match column {
        ListingColumn::Iname => "甄𬎆",
        ListingColumn::Sexy => "男",
        ListingColumn::Age => "35",
        ListingColumn::CardNum => PERSON,
        ListingColumn::CaseCode => "（2025）粤0882执1234号",
        ListingColumn::CourtName => COURT,
        ListingColumn::AreaName => "广东",
        ListingColumn::GistId => "(2024)粤0882民初99号",
        ListingColumn::GistUnit => COURT,
        ListingColumn::Duty => "偿还借款",
        ListingColumn::Performance => "全部未履行",
        ListingColumn::DisruptTypeName => "违反财产报告制度",
        ListingColumn::PublishDate => "2025年04月05日",
        ListingColumn::RegDate => "20250105",
        ListingColumn::PartyTypeName => "自然人",
        ListingColumn::DecisionNo => "(2025)粤0882执1234号之一",
        ListingColumn::DecisionDate => "2025-04-01",
        ListingColumn::ServedDate => "2025-04-03",
        ListingColumn::TermMonths => "24",
        ListingColumn::Signer => "yz-001",
        ListingColumn::Ground => "4",
        ListingColumn::NoticeServedDate => "2025-02-01",
        ListingColumn::PerformedPart | ListingColumn::UnperformPart | ListingColumn::BusinessEntity => "",
    };
    let columns = ListingColumn::of(mode);
    let value = |column: &ListingColumn| {
        let changed = changes.iter().find(|(name, _)| *name == column.as_str());
        changed.map_or_else(|| good(*column), |(_, value)| value)
    };
    (columns.iter().map(|column| column.as_str()).collect(), columns.iter().map(value).collect())
}

fn take(mode: Mode, changes: &[(&str, &str)]) -> Result<crate::listing::Content, RowFault> {
    let (columns, row) = listing_row(mode, changes);
    let rows = ListingRows::new(&header(mode), &columns, policy()).unwrap();
    rows.content(&row, now()).map(|(content, _)| content)
}

/// `Ok(kind)`: taken as an identity of this kind. `Err`: the columns at fault, in order.
fn check(mode: Mode, changes: &[(&str, &str)], expected: Result<Kind, &[&str]>) {
    let got = take(mode, changes);
    match (&got, expected) {
        (Ok(content), Ok(kind)) => assert_eq!(content.identities.first().kind(), kind, "{changes:?}"),
        (Err(fault), Err(columns)) => {
            let named: Vec<&str> =
                fault.message.split("; ").filter_map(|part| part.split_once(": ")).map(|(column, _)| column).collect();
            for column in columns {
                assert!(named.contains(column), "{changes:?}: {}", fault.message);
            }
            assert_eq!(fault.column, columns[0], "{changes:?}: {}", fault.message);
            for (_, value) in changes.iter().filter(|(column, _)| matches!(*column, "cardNum" | "iname")) {
                assert!(value.is_empty() || !fault.message.contains(value), "the fault tells the value");
            }
        }
        (_, _) => panic!("{changes:?}: expected {expected:?}, got {:?}", got.err()),
    }
}

#[test]
fn rows_that_are_taken() {
    let company = [("partyTypeName", "法人或其他组织"), ("sexy", ""), ("age", "0"), ("businessEntity", "贾仁")];
    let company_with = |number: &'static str| [&company[..], &[("cardNum", number)]].concat();
    for mode in Mode::ALL.iter().copied() {
        for (changes, kind) in [
            (vec![], Kind::ResidentId),
            (vec![("cardNum", "１１０１０１１９９００１０１０９３９")], Kind::ResidentId),
            (vec![("cardNum", "110101900101001")], Kind::ResidentId),
            (vec![("cardNum", "810000199801010017"), ("partyTypeName", "0")], Kind::ResidencePermit),
            (vec![("cardNum", "M12345678"), ("partyTypeName", "580")], Kind::TravelPermitHkMo),
            (vec![("cardNum", "G12345678")], Kind::Passport),
            (company_with("91110101000000019Y"), Kind::Uscc),
            // A real code from before 2016 may break the standard: taken, and flagged.
            (company_with("91110101000000019X"), Kind::Uscc),
            (company_with("12345678-8"), Kind::OrganisationCode),
            // The same digits in an organisation's row are an organisation's.
            (company_with(PERSON), Kind::Uscc),
        ] {
            check(mode, &changes, Ok(kind));
        }
    }
}

#[test]
fn rows_that_are_not() {
    let m = Mode::Migration;
    for (changes, columns) in [
        // An H and 8 digits are a travel permit or a Hong Kong passport.
        (&[("cardNum", "H12345678")][..], &["cardNum"][..]),
        (&[("partyTypeName", "")], &["partyTypeName"]),
        (&[("partyTypeName", "其他")], &["partyTypeName"]),
        (&[("cardNum", "110101199001010008")], &["cardNum"]),
        (&[("cardNum", "91110101000000019Y")], &["cardNum"]),
        (&[("cardNum", "")], &["cardNum"]),
        (&[("cardNum", "11010119900101**39")], &["cardNum"]),
        (&[("courtName", "遂溪县人民法院")], &["courtName"]),
        (&[("courtName", "")], &["courtName"]),
        (&[("iname", "")], &["iname"]),
        (&[("caseCode", "2025粤0882执1234号")], &["caseCode"]),
        (&[("gistId", ""), ("gistUnit", "")], &["gistId", "gistUnit"]),
        (&[("sexy", "M")], &["sexy"]),
        (&[("age", "xx")], &["age"]),
        (&[("disruptTypeName", "其他")], &["disruptTypeName"]),
        (&[("publishDate", "")], &["publishDate"]),
        (&[("publishDate", "2025年13月05日")], &["publishDate"]),
        (&[("publishDate", "2026-04-05")], &["publishDate"]),
        (&[("regDate", "gestern")], &["regDate"]),
        // Over already: 24 months from 2023 have passed.
        (&[("publishDate", "2023-04-05")], &["publishDate"]),
        (
            &[("cardNum", "110101199001010008"), ("iname", ""), ("publishDate", "x")],
            &["cardNum", "iname", "publishDate"],
        ),
    ] {
        check(m, changes, Err(columns));
    }
    for (changes, columns) in [
        (&[("ground", "7")][..], &["ground"][..]),
        (&[("ground", "")], &["ground"]),
        (&[("termMonths", "12")], &["termMonths"]),
        (&[("termMonths", "zwei")], &["termMonths"]),
        (&[("ground", "①")], &["termMonths"]),
        (&[("decisionNo", "")], &["decisionNo"]),
        (&[("decisionDate", "")], &["decisionDate"]),
        (&[("servedDate", "2025-03-01")], &["servedDate"]),
        (&[("signer", "")], &["signer"]),
        (&[("noticeServedDate", "2025-04-02")], &["noticeServedDate"]),
        (&[("noticeServedDate", "2026-04-02")], &["noticeServedDate"]),
        (&[("noticeServedDate", "x")], &["noticeServedDate"]),
    ] {
        check(Mode::Current, changes, Err(columns));
    }
}

#[test]
fn a_minor_is_told_above_all_else() {
    let child = synthetic::resident_id("440882", date(2009, 5, 1), 17);
    let fault = take(Mode::Migration, &[("cardNum", child.as_str()), ("age", "15"), ("gistId", "")]).unwrap_err();
    assert_eq!(fault.reason, RowReason::Minor, "{}", fault.message);
    let fault = take(Mode::Migration, &[("courtName", "x"), ("iname", "")]).unwrap_err();
    assert_eq!((fault.reason, fault.column), (RowReason::OtherCourt, "courtName"));
}

#[test]
fn a_migration_attests_decision_service_and_term() {
    for (conduct, published, until) in [
        ("违反财产报告制度", "2025年4月5日", Some("2027-04-05")),
        (" 有履行能力而拒不履行生效法律文书确定义务 ", "20150405", None),
        ("违反财产报告制度；违反财产报告制度的", "2025-04-05", Some("2027-04-05")),
    ] {
        let content = take(Mode::Migration, &[("disruptTypeName", conduct), ("publishDate", published)]).unwrap();
        let decision = content.decision.unwrap();
        assert!(decision.attested && decision.number.is_empty() && decision.signer == "js-007");
        assert_eq!(decision.served_on, Some(decision.date));
        assert_eq!(decision.until(), until.map(|day| Day::parse(day).unwrap()), "{conduct}");
    }
    let current = take(Mode::Current, &[("ground", "①"), ("termMonths", ""), ("servedDate", "")]).unwrap();
    let decision = current.decision.unwrap();
    assert!(!decision.attested && decision.served_on.is_none() && decision.until().is_none());
    assert_eq!((decision.signer.as_str(), current.ground), ("yz-001", Some(Ground::AbleButRefuses)));
}

#[test]
fn the_quick_way_to_a_kind_agrees_with_the_full_one() {
    let born = date(1975, 6, 7);
    for seed in 0..300_u16 {
        let region = ["440882", "810000", "820000", "830000", "911100", "110101"][usize::from(seed) % 6];
        for (number, subject) in [
            (synthetic::resident_id(region, born, seed), Subject::Person),
            (synthetic::resident_id_15("440882", born, seed), Subject::Person),
            (synthetic::uscc("91", "440882", u64::from(seed)), Subject::Organisation),
        ] {
            let quick = listing::identity(&number, subject, date(2026, 3, 1)).unwrap().kind;
            assert_eq!(vec![quick], fitting_kinds(&number, subject, date(2026, 3, 1)), "{region} {seed}");
        }
    }
}

#[test]
fn headers_and_trailers_read_back_as_written() {
    for mode in Mode::ALL.iter().copied() {
        assert_eq!(Header::parse(&header(mode).to_string()), Ok(header(mode)));
    }
    let trailer = Trailer { rows: 12, sha256: [0xAB; 32] };
    assert_eq!(Trailer::parse(&trailer.to_string()), Ok(trailer));
    let good = "#xinhub-import;format=1;court=c;as_of=2026-03-01T00:00:00+08:00;mode=current;signer=s";
    for (from, to, word) in [
        ("#xinhub-import;", "iname,sexy", "must begin"),
        ("format=1", "format=2", "format"),
        ("format=1", "format=x", "format"),
        ("court=c", "court=", "court"),
        ("court=c;", "", "court: is missing"),
        ("court=c", "court=c;court=d", "twice"),
        ("court=c", "curt=c", "did you mean `court`"),
        ("as_of=2026-03-01T00:00:00+08:00", "as_of=2026-03-01", "as_of"),
        ("mode=current", "mode=curent", "did you mean `current`"),
        ("signer=s", "signer= ", "signer"),
    ] {
        let fault = Header::parse(&good.replace(from, to)).unwrap_err().to_string();
        assert!(fault.contains(word), "{to}: {fault}");
    }
    for line in ["#end;rows=1", "#end;rows=-1;sha256=00", "end", "#end;rows=1;sha256=zz"] {
        assert!(Trailer::parse(line).is_err(), "{line}");
    }
}

/// A policy under which the court went live on this day, if at all.
fn going_live(day: &str) -> Arc<Policy> {
    let text = format!("format = 1\n{day}\n[[court]]\nid = \"leizhou\"\nname_zh = \"{COURT}\"\n");
    Arc::new(Policy::parse(&text, Catalogue::shipped()).unwrap())
}

#[test]
fn what_was_decided_since_going_live_is_no_migration() {
    let (columns, row) = listing_row(Mode::Migration, &[]);
    let rows = |policy| ListingRows::new(&header(Mode::Migration), &columns, policy);
    // The row's decision is of 2025-04-05.
    assert!(rows(going_live("go_live = 2025-04-06")).unwrap().content(&row, now()).is_ok());
    for day in ["2025-04-05", "2025-01-01"] {
        let fault = rows(going_live(&format!("go_live = {day}"))).unwrap().content(&row, now()).unwrap_err();
        assert_eq!((fault.column, fault.reason), ("publishDate", RowReason::Field));
        assert!(fault.message.contains(day), "{}", fault.message);
    }
    let refused = rows(going_live("")).unwrap_err().to_string();
    assert!(refused.contains("names no `go_live`"), "{refused}");
    let (columns, row) = listing_row(Mode::Current, &[]);
    let current = ListingRows::new(&header(Mode::Current), &columns, going_live("")).unwrap();
    assert!(current.content(&row, now()).is_ok(), "a current file brings its notices, whenever the court went live");
}

#[test]
fn the_notice_is_a_column_that_may_be_left_out() {
    let day = |text| Day::parse(text).ok();
    assert_eq!(take(Mode::Current, &[]).unwrap().notice_served_on, day("2025-02-01"));
    let on_the_day = take(Mode::Current, &[("noticeServedDate", "2025年4月1日")]).unwrap();
    assert_eq!(on_the_day.notice_served_on, day("2025-04-01"));
    assert_eq!(take(Mode::Current, &[("noticeServedDate", "")]).unwrap().notice_served_on, None);
    assert_eq!(take(Mode::Migration, &[]).unwrap().notice_served_on, None);
    let (columns, row) = listing_row(Mode::Current, &[]);
    let without = |record: &StringRecord| record.iter().take(record.len() - 1).map(str::to_owned).collect();
    let (columns, row): (StringRecord, StringRecord) = (without(&columns), without(&row));
    let rows = ListingRows::new(&header(Mode::Current), &columns, policy()).unwrap();
    assert_eq!(rows.content(&row, now()).unwrap().0.notice_served_on, None);
}

#[test]
fn a_row_is_compared_by_what_it_carries_and_names_its_case_whatever_else_is_wrong() {
    let mode = Mode::Complete;
    let listed = take(mode, &[]).unwrap();
    for (changes, fields) in [
        (&[][..], &[][..]),
        (&[("servedDate", "")], &[]),
        (&[("performance", "部分履行"), ("performedPart", "一半")], &["performance", "performed_part"]),
        (&[("iname", "甄假")], &["name"]),
        (&[("cardNum", "11010119900101004X")], &["identities"]),
        (&[("decisionDate", "2025-04-02")], &["decision"]),
        (&[("ground", "3"), ("regDate", "20250106")], &["ground", "filed_on"]),
    ] {
        assert_eq!(differing_fields(&listed, &take(mode, changes).unwrap()), fields, "{changes:?}");
    }
    let migrated = take(Mode::Migration, &[]).unwrap();
    assert_eq!(differing_fields(&migrated, &listed), [""; 0], "what was attested has no number to compare");
    for (changes, named) in [
        (&[("cardNum", "1"), ("ground", "9")][..], true),
        (&[("caseCode", "(2025)粤0882执01234号")], false),
        (&[("caseCode", "")], false),
    ] {
        let (columns, row) = listing_row(mode, changes);
        let rows = ListingRows::new(&header(mode), &columns, policy()).unwrap();
        assert_eq!(rows.case_number(&row).is_some(), named, "{changes:?}");
        let short: StringRecord = row.iter().skip(1).collect();
        assert_eq!(rows.case_number(&short), None, "its columns are shifted");
    }
}

#[test]
fn columns_come_in_any_order_and_faults_of_them_are_named() {
    let (columns, row) = listing_row(Mode::Migration, &[]);
    let reversed = |record: &StringRecord| record.iter().rev().map(str::to_owned).collect::<StringRecord>();
    let rows = ListingRows::new(&header(Mode::Migration), &reversed(&columns), policy()).unwrap();
    assert!(rows.content(&reversed(&row), now()).is_ok());
    let short: StringRecord = row.iter().take(5).collect();
    assert!(rows.content(&short, now()).unwrap_err().message.contains("5 fields"));
    for (columns, word) in [
        (columns.iter().skip(1).collect::<StringRecord>(), "missing: iname"),
        (columns.iter().chain(["gender"]).collect(), "`gender` is unknown"),
        (columns.iter().chain(["iname"]).collect(), "iname stands there twice"),
        (columns.iter().chain([PERSON]).collect(), "number 19 is unknown"),
    ] {
        let fault = ListingRows::new(&header(Mode::Migration), &columns, policy()).unwrap_err().to_string();
        assert!(fault.contains(word) && !fault.contains(PERSON), "{fault}");
    }
    let missing = ListingRows::new(&header(Mode::Current), &columns, policy()).unwrap_err().to_string();
    assert!(missing.contains("missing: decisionNo, decisionDate, servedDate, termMonths, signer, ground"), "{missing}");
}

/// Takes a good relation row with some columns changed; `Err` names the first column at fault.
fn check_relation(changes: &[(&str, &str)], expected: Result<(), &str>) {
    let good = |column: &RelationColumn| match column {
        RelationColumn::Listing | RelationColumn::IssuingState | RelationColumn::Until => "",
        RelationColumn::CaseCode => "(2025)粤0882执1234号",
        RelationColumn::CardNum => "91110101000000019Y",
        RelationColumn::Kind => "resident_id",
        RelationColumn::Number => PERSON,
        RelationColumn::Name => "贾仁",
        RelationColumn::Role => "legal_representative",
        RelationColumn::BasisDocument => "营业执照",
        RelationColumn::From => "2025年04月05日",
    };
    let value = |column: &RelationColumn| {
        changes.iter().find(|(name, _)| *name == column.as_str()).map_or_else(|| good(column), |(_, value)| value)
    };
    let columns = RelationColumn::ALL.iter().map(|column| column.as_str()).collect();
    let row: StringRecord = RelationColumn::ALL.iter().map(value).collect();
    let got = RelationRows::new(&columns).unwrap().relation(&row, now());
    assert_eq!(got.as_ref().map(|_| ()).map_err(|fault| fault.column), expected, "{changes:?}: {:?}", got.err());
}

#[test]
fn relations() {
    for (changes, expected) in [
        (&[][..], Ok(())),
        (&[("listing", "7")], Ok(())),
        (&[("listing", "7"), ("caseCode", ""), ("cardNum", "")], Ok(())),
        (&[("role", "实际控制人"), ("until", "2027-01-01")], Ok(())),
        (&[("kind", "passport"), ("number", "X1234567"), ("issuingState", "USA")], Ok(())),
        (&[("listing", "0")], Err("listing")),
        (&[("caseCode", ""), ("cardNum", "")], Err("listing")),
        (&[("caseCode", "x")], Err("caseCode")),
        (&[("cardNum", "000000010")], Err("cardNum")),
        (&[("kind", "id")], Err("kind")),
        (&[("kind", "uscc"), ("number", "91110101000000019Y")], Err("kind")),
        (&[("kind", "passport"), ("number", "X1234567")], Err("number")),
        (&[("number", "110101199001010008")], Err("number")),
        (&[("role", "debtor")], Err("role")),
        (&[("name", "")], Err("name")),
        (&[("basisDocument", "")], Err("basisDocument")),
        (&[("from", "")], Err("from")),
        (&[("until", "2020-01-01")], Err("until")),
    ] {
        check_relation(changes, expected);
    }
    let columns: StringRecord = ["kind", "number", "name", "role", "basisDocument", "from", "until"].iter().collect();
    let fault = RelationRows::new(&columns).unwrap_err().to_string();
    assert!(fault.contains("missing: caseCode, cardNum"), "{fault}");
}
