//! The vectors of the domain's identity rules, as tables.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use std::collections::HashSet;

use jiff::civil::date;

use super::*;

const TODAY: Date = date(2026, 1, 15);

/// `Ok(normal form)` or the violations' codes, comma-separated, as a looker-up gets them.
#[track_caller]
fn check(kind: Kind, number: &str, expected: Result<&str, &str>) {
    check_as(Source::LookerUp, kind, number, expected);
}

#[track_caller]
fn check_as(source: Source, kind: Kind, number: &str, expected: Result<&str, &str>) {
    let state = (kind == Kind::Passport).then_some("CHN");
    let parsed = Identity::parse(kind, number, state, source, TODAY);
    let codes = parsed.as_ref().map(Identity::normal_form).map_err(codes);
    assert_eq!(codes, expected.map_err(str::to_owned), "{kind:?} {number}");
}

fn codes(violations: &Violations) -> String {
    violations.iter().map(Violation::code).collect::<Vec<_>>().join(",")
}

fn parse(kind: Kind, number: &str) -> Identity {
    let state = (kind == Kind::Passport).then_some("CHN");
    Identity::parse(kind, number, state, Source::Court, TODAY).unwrap()
}

#[test]
fn resident_ids() {
    use Kind::ResidentId as Id;
    for valid in [
        "110101199001010007",
        "11010119900101004X",
        "110101199003070011",
        "110101200002290018",
        "810000199801010017",
        "830000199801010037",
    ] {
        check(Id, valid, Ok(valid));
    }
    check(Id, " １１０１０１１９９００１０１００４ｘ\u{3000}", Ok("11010119900101004X"));
    check(Id, "110101900101001", Ok("110101199001010015"));

    check(Id, "110101199001010008", Err("check_digit"));
    check(Id, "110101190002290011", Err("birth_date"));
    check(Id, "110101209912319992", Err("birth_date_in_future"));
    check(Id, "11010119900101000", Err("length"));
    check(Id, "110101000229001", Err("birth_date"));
    check(Id, "", Err("empty"));
    check(Id, " \u{3000}\t", Err("empty"));
    check(Id, "11010119900101O007", Err("character"));
    check(Id, "1101011990010100乙7", Err("character"));
    check(Id, "110101 99001010007", Err("character"));
    check(Id, "11010119900101X00Y", Err("character,character"));
    check(Id, "11010119901301000", Err("length"));
    check(Id, "110101199013010008", Err("birth_date,check_digit"));
    check(Id, "110101999912310018", Err("birth_date_in_future,check_digit"));
    check(Id, "110101010101010013", Err("birth_date_too_early,check_digit"));
    check(Id, &"1".repeat(100_000), Err("too_long"));
    check(Id, &"1".repeat(64), Err("length"));
}

#[test]
fn the_day_of_today_is_not_in_the_future() {
    let number = |birth| synthetic::resident_id("440882", birth, 1);
    check(Kind::ResidentId, &number(TODAY), Ok(&number(TODAY)));
    let tomorrow = TODAY.tomorrow().unwrap();
    check(Kind::ResidentId, &number(tomorrow), Err("birth_date_in_future"));
}

#[test]
fn other_personal_numbers() {
    check(Kind::ResidencePermit, "810000199801010017", Ok("810000199801010017"));
    check(Kind::ResidencePermit, "830000199801010037", Ok("830000199801010037"));
    check(Kind::ResidencePermit, "110101199001010007", Err("prefix"));
    check(Kind::ResidencePermit, "110101199001010008", Err("prefix,check_digit"));
    check(Kind::ResidencePermit, "110101900101001", Err("length,prefix"));

    let card = synthetic::resident_id("911840", date(1980, 2, 29), 123);
    check(Kind::PermanentResident, &card, Ok(&card));
    check(Kind::PermanentResident, "110101199001010007", Err("prefix"));

    check(Kind::PermanentResidentOld, "usa310080010215", Ok("USA310080010215"));
    check(Kind::PermanentResidentOld, "US0310080010215", Err("character"));
    check(Kind::PermanentResidentOld, "USA31008001021", Err("length"));
}

#[test]
fn credit_codes() {
    use Kind::Uscc;
    for valid in
        ["91110101000000019Y", "91110101MA0000007T", "111101010000000272", "N2110101MF00000139", "52110101MJ0000018G"]
    {
        check(Uscc, valid, Ok(valid));
        assert!(!parse(Uscc, valid).is_flagged());
    }
    check(Uscc, "９１１１０１０１ma0000007t", Ok("91110101MA0000007T"));
    check(Uscc, "91110101000000019X", Err("check_digit"));
    check(Uscc, "91110101MA0000007I", Err("character"));
    check(Uscc, "91110101MA0000008X", Err("embedded_check_digit"));
    check(Uscc, "01110101MA0000007T", Err("character,check_digit"));
    check(Uscc, "B1110101MA0000007T", Err("character,check_digit"));
    check(Uscc, "911101A1MA0000007T", Err("character,check_digit"));
    check(Uscc, "91110101MA000000", Err("length"));
}

#[test]
fn a_courts_credit_code_with_a_wrong_check_is_flagged() {
    for (code, warning) in
        [("91110101000000019X", Warning::CheckDigit), ("91110101MA0000008X", Warning::EmbeddedCheckDigit)]
    {
        check_as(Source::Court, Kind::Uscc, code, Ok(code));
        let identity = parse(Kind::Uscc, code);
        assert!(identity.is_flagged());
        assert_eq!(identity.warnings(), [warning]);

        let refused = Identity::parse(Kind::Uscc, code, None, Source::LookerUp, TODAY).unwrap_err();
        assert!(refused.is_unconfirmed_credit_code());
    }
    // The relaxation is for check characters of credit codes alone.
    check_as(Source::Court, Kind::Uscc, "91110101MA0000007I", Err("character"));
    check_as(Source::Court, Kind::Uscc, "B1110101MA0000007T", Err("character,check_digit"));
    check_as(Source::Court, Kind::ResidentId, "110101199001010008", Err("check_digit"));
    check_as(Source::Court, Kind::OrganisationCode, "00000001X", Err("check_digit"));
    let id = Identity::parse(Kind::ResidentId, "110101199001010008", None, Source::LookerUp, TODAY);
    assert!(!id.unwrap_err().is_unconfirmed_credit_code());
}

#[test]
fn organisation_codes() {
    use Kind::OrganisationCode as Code;
    check(Code, "000000019", Ok("000000019"));
    check(Code, "D2143569X", Ok("D2143569X"));
    check(Code, "D2143569-x", Ok("D2143569X"));
    check(Code, "12345678-8", Ok("123456788"));
    check(Code, "１２３４５６７８－８", Ok("123456788"));

    check(Code, "00000001X", Err("check_digit"));
    check(Code, "12345678-9", Err("check_digit"));
    check(Code, "PDY00001X", Err("internal_code"));
    check(Code, "PDY99999-1", Err("internal_code,check_digit"));
    check(Code, "1234-56788", Err("length,character"));
    check(Code, "12345678Y", Err("character"));
    check(Code, "12345678", Err("length"));
    let not_reserved = synthetic::organisation_code("PDY00000");
    check(Code, &not_reserved, Ok(&not_reserved));
}

#[test]
fn travel_documents() {
    use Kind::{Passport, TravelPermitHkMo as HkMo, TravelPermitTaiwan as Taiwan};
    check(HkMo, "H12345678", Ok("H12345678"));
    check(HkMo, "m1234567801", Ok("M12345678"));
    check(HkMo, "H1234567890", Ok("H12345678"));
    check(HkMo, "H123456789", Err("length"));
    check(HkMo, "T12345678", Err("character"));
    check(Taiwan, "12345678", Ok("12345678"));
    check(Taiwan, "1234567890", Ok("1234567890"));
    check(Taiwan, "123456789", Err("length"));
    check(Taiwan, "1234567A", Err("character"));

    for valid in [
        "E12345678",
        "K12345678",
        "G12345678",
        "D12345678",
        "S12345678",
        "P12345678",
        "H12345678",
        "EA1234567",
        "EF1234567",
        "DE1234567",
        "SE1234567",
        "PE1234567",
        "KJ1234567",
        "MA1234567",
        "141234567",
        "151234567",
    ] {
        check(Passport, valid, Ok(&format!("CHN:{valid}")));
    }
    for invalid in ["EG1234567", "A12345678", "161234567", "E1234567", "KE1234567", "E123456789"] {
        check(Passport, invalid, Err("passport_format"));
    }
    check(Passport, "E12", Err("length"));
    check(Passport, "E1234-5678", Err("character"));
}

#[test]
fn issuing_states() {
    let check = |kind, state, expected: Result<&str, &str>| {
        let parsed = Identity::parse(kind, "X1234567", state, Source::LookerUp, TODAY);
        let told = parsed.as_ref().map(Identity::normal_form).map_err(codes);
        assert_eq!(told, expected.map_err(str::to_owned), "{kind:?} {state:?}");
    };
    check(Kind::Passport, Some("DEU"), Ok("DEU:X1234567"));
    check(Kind::Passport, Some(" deu"), Ok("DEU:X1234567"));
    check(Kind::Passport, Some("CHN"), Err("passport_format"));
    check(Kind::Passport, None, Err("issuing_state_missing"));
    check(Kind::Passport, Some(""), Err("issuing_state_missing"));
    check(Kind::Passport, Some("DE"), Err("issuing_state_form"));
    check(Kind::Passport, Some("中国人"), Err("issuing_state_form"));
    check(Kind::Passport, Some("HKG"), Err("issuing_state_is_china"));
    check(Kind::TravelPermitTaiwan, Some("CHN"), Err("character,issuing_state_unused"));
}

#[test]
fn texts_say_what_is_wrong_and_never_the_number() {
    let number = "110101199001010008";
    let refused = Identity::parse(Kind::ResidentId, number, None, Source::LookerUp, TODAY).unwrap_err();
    assert_eq!(refused.to_string(), "number: check digit is 8, expected 7 (GB 11643)");

    let wrong = Identity::parse(Kind::Passport, "E1234!678", Some("C"), Source::LookerUp, TODAY);
    assert_eq!(
        wrong.unwrap_err().to_string(),
        "number: character 6 is not a letter or digit; issuing_state: is not three letters (ISO 3166 \
         alpha-3), such as CHN"
    );

    let identity = parse(Kind::ResidentId, "110101199001010007");
    assert_eq!(format!("{identity:?}"), "Identity(ResidentId)");
    let keys: Vec<KeyInput> = identity.keys().collect();
    assert_eq!(format!("{keys:?}"), "[KeyInput(Person)]");
    assert_eq!(format!("{:?}", Identities::from(identity)), "[Identity(ResidentId)]");
}

#[test]
fn what_a_number_tells() {
    let woman = parse(Kind::ResidentId, "110101199001010007");
    assert_eq!((woman.birth_date(), woman.sex()), (Some(date(1990, 1, 1)), Some(Sex::Female)));
    let man = parse(Kind::ResidentId, "110101900101001");
    assert_eq!((man.birth_date(), man.sex()), (Some(date(1990, 1, 1)), Some(Sex::Male)));
    for kind_without in [
        parse(Kind::Uscc, "91110101000000019Y"),
        parse(Kind::Passport, "E12345678"),
        parse(Kind::PermanentResidentOld, "USA310080010215"),
    ] {
        assert_eq!((kind_without.birth_date(), kind_without.sex()), (None, None));
        assert_eq!(kind_without.is_minor(TODAY), None);
    }
}

#[test]
fn sequence_996_to_999_of_a_15_digit_id_is_ambiguous() {
    for (sequence, flagged) in [(995, false), (996, true), (999, true)] {
        let given = synthetic::resident_id_15("110101", date(1912, 3, 4), sequence);
        let identity = parse(Kind::ResidentId, &given);
        assert_eq!(identity.is_flagged(), flagged, "{sequence}");
        assert_eq!(identity.warnings().contains(&Warning::AmbiguousCentury), flagged);
        assert_eq!(identity.birth_date().is_none(), flagged);
        // The same order on an 18-digit card is nothing special: the century is written.
        assert!(!parse(Kind::ResidentId, identity.normal_form()).is_flagged());
    }
}

#[test]
fn minors() {
    let check = |birth: Date, on: Date, expected: bool| {
        let identity = parse(Kind::ResidentId, &synthetic::resident_id("440882", birth, 1));
        assert_eq!(identity.is_minor(on), Some(expected), "{birth} {on}");
    };
    check(date(2010, 5, 6), date(2028, 5, 5), true);
    check(date(2010, 5, 6), date(2028, 5, 6), false);
    check(date(2008, 2, 29), date(2026, 2, 27), true);
    check(date(2008, 2, 29), date(2026, 2, 28), false);
    check(date(1990, 1, 1), TODAY, false);
    check(date(2026, 1, 15), TODAY, true);
}

#[test]
fn odd_regions_are_warnings() {
    let check = |kind, number: &str, expected: &[Warning]| {
        let identity = parse(kind, number);
        assert_eq!(identity.warnings(), expected, "{number}");
        assert!(!identity.is_flagged());
    };
    let id = |region| synthetic::resident_id(region, date(1990, 1, 1), 1);
    check(Kind::ResidentId, &id("440882"), &[]);
    check(Kind::ResidentId, &id("449999"), &[]);
    check(Kind::ResidentId, &id("170101"), &[Warning::UnknownRegion]);
    check(Kind::ResidentId, &id("810000"), &[Warning::OtherCardsPrefix]);
    check(Kind::ResidencePermit, &id("810000"), &[]);
    check(Kind::ResidentId, &id("911840"), &[Warning::OtherCardsPrefix]);
    check(Kind::PermanentResident, &id("911840"), &[]);
    check(Kind::Uscc, &synthetic::uscc("91", "100000", 7), &[]);
    check(Kind::Uscc, &synthetic::uscc("91", "170101", 7), &[Warning::UnknownRegion]);
}

#[test]
fn key_inputs_are_laid_out_as_stored() {
    let keys: Vec<KeyInput> = parse(Kind::Uscc, "91110101MA0000007T").keys().collect();
    assert_eq!(keys[0].as_bytes(), b"\x02\x09MA0000007\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(keys[1].as_bytes(), b"\x03\x1291110101MA0000007T\0\0\0\0\0\0\0\0\0\0\0\0");
    assert_eq!(keys.len(), 2);
}

#[test]
fn keys() {
    use KeySpace as Space;
    let check = |identity: Identity, expected: &[KeySpace]| {
        let spaces: Vec<KeySpace> = identity.keys().map(|key| key.key_space()).collect();
        assert_eq!(spaces, expected, "{identity:?}");
    };
    check(parse(Kind::ResidentId, "110101199001010007"), &[Space::Person]);
    check(parse(Kind::ResidencePermit, "810000199801010017"), &[Space::Person]);
    check(parse(Kind::Uscc, "91110101000000019Y"), &[Space::Organisation, Space::CreditCode]);
    check(parse(Kind::Uscc, "91110101000000019X"), &[Space::CreditCode]);
    check(parse(Kind::Uscc, "91110101MA0000008X"), &[Space::CreditCode]);
    check(parse(Kind::OrganisationCode, "000000019"), &[Space::Organisation]);
    check(parse(Kind::TravelPermitHkMo, "H12345678"), &[Space::TravelPermitHkMo]);
    check(parse(Kind::TravelPermitTaiwan, "12345678"), &[Space::TravelPermitTaiwan]);
    check(parse(Kind::Passport, "H12345678"), &[Space::Passport]);
    check(parse(Kind::PermanentResidentOld, "USA310080010215"), &[Space::PermanentResidentOld]);
}

#[test]
fn one_number_of_two_kinds_has_keys_of_its_own_for_each() {
    let number = "110101199001010939";
    let person: HashSet<KeyInput> = parse(Kind::ResidentId, number).keys().collect();
    let organisation: HashSet<KeyInput> = parse(Kind::Uscc, number).keys().collect();
    assert!(person.is_disjoint(&organisation));
}

#[test]
fn masked_numbers() {
    for (kind, number, expected) in [
        (Kind::ResidentId, "110101199001010007", "1101011990****0007"),
        (Kind::ResidentId, "110101900101001", "1101011990****0015"),
        (Kind::Uscc, "91110101MA0000007T", "91110101MA****007T"),
        (Kind::OrganisationCode, "000000019", "00000****19"),
        (Kind::TravelPermitHkMo, "H1234567801", "H1234****78"),
        (Kind::Passport, "E12345678", "CHN:E1234****78"),
        (Kind::TravelPermitTaiwan, "12345678", "1234****8"),
    ] {
        assert_eq!(parse(kind, number).masked(), expected);
    }
}

#[test]
fn numbers_as_given() {
    for (kind, given, expected) in [
        (Kind::ResidentId, "110101900101001", "110101900101001"),
        (Kind::ResidentId, "11010119900101004x", "11010119900101004X"),
        (Kind::TravelPermitHkMo, "h1234567801", "H1234567801"),
        (Kind::Passport, "e12345678", "E12345678"),
        (Kind::OrganisationCode, "12345678-8", "123456788"),
    ] {
        let identity = parse(kind, given);
        assert_eq!(identity.number(), expected);
        assert_eq!(identity.issuing_state(), (kind == Kind::Passport).then_some("CHN"));
    }
}

#[test]
fn kinds_that_a_bare_number_fits() {
    use Kind::*;
    let check = |number: &str, sort, expected: &[Kind]| {
        assert_eq!(fitting_kinds(number, sort, TODAY), expected, "{number}");
    };
    let card = synthetic::resident_id("911840", date(1980, 2, 29), 123);
    check("110101199001010939", Subject::Person, &[ResidentId]);
    check("110101199001010939", Subject::Organisation, &[Uscc]);
    check("810000199801010017", Subject::Person, &[ResidencePermit]);
    check(&card, Subject::Person, &[PermanentResident]);
    check("110101900101001", Subject::Person, &[ResidentId]);
    check("H12345678", Subject::Person, &[TravelPermitHkMo, Passport]);
    check("H1234567801", Subject::Person, &[TravelPermitHkMo]);
    check("E12345678", Subject::Person, &[Passport]);
    check("12345678", Subject::Person, &[TravelPermitTaiwan]);
    check("USA310080010215", Subject::Person, &[PermanentResidentOld]);
    check("91110101000000019X", Subject::Organisation, &[Uscc]);
    check("12345678-8", Subject::Organisation, &[OrganisationCode]);
    check("110101199001010008", Subject::Person, &[]);
    check("12345678-9", Subject::Organisation, &[]);
}

#[test]
fn identities_in_text() {
    for (text, expected) in [
        ("110101199001010007", true),
        ("loan 7, id 11010119900101004x.", true),
        ("合同１１０１０１１９９００１０１０００７号", true),
        ("A110101199001010007B", true),
        ("99110101199001010007", true),
        ("810000199801010017", true),
        ("ref:91110101ma0000007t", true),
        ("N2110101MF00000139", true),
        ("110101199001010008", false),
        ("110101 19900101 0007", false),
        ("91110101000000019X", false),
        ("91110101MA0000008X", false),
        ("20260115-0000000001", false),
        ("000000000000000000000000", false),
        ("110101900101001", false),
        ("000000019", false),
        ("", false),
    ] {
        assert_eq!(contains_identity(text), expected, "{text}");
    }
}

#[test]
fn identities_of_one_subject() {
    let person = parse(Kind::ResidentId, "110101199001010007");
    let passport = parse(Kind::Passport, "E12345678");
    let code = parse(Kind::Uscc, "91110101000000019Y");
    let own_organisation_code = parse(Kind::OrganisationCode, "000000019");
    let as_permit = |number| parse(Kind::ResidencePermit, number);
    let check = |given: &[&Identity], expected: Result<usize, IdentitiesError>| {
        let given = given.iter().map(|&identity| identity.clone()).collect();
        assert_eq!(Identities::parse(given).map(|all| all.keys().len()), expected);
    };
    check(&[&person], Ok(1));
    check(&[&person, &passport], Ok(2));
    check(&[&code, &own_organisation_code], Ok(2));
    check(&[], Err(IdentitiesError::Count { found: 0 }));
    check(&[&person; 5], Err(IdentitiesError::Count { found: 5 }));
    check(&[&person, &code], Err(IdentitiesError::MixedSubjects));
    check(&[&passport, &person, &passport], Err(IdentitiesError::Duplicate { index: 3 }));
    // One number is one key, whatever card it is called.
    let permit = as_permit("810000199801010017");
    let as_id = parse(Kind::ResidentId, "810000199801010017");
    check(&[&permit, &as_id], Err(IdentitiesError::Duplicate { index: 2 }));
}

#[test]
fn stored_identities_stay_readable() {
    let decode = |bytes: &[u8]| minicbor::decode::<Identity>(bytes);
    for identity in [
        parse(Kind::ResidentId, "110101900101999"),
        parse(Kind::ResidentId, "110101199001010007"),
        parse(Kind::Uscc, "91110101000000019X"),
        parse(Kind::Passport, "E12345678"),
        parse(Kind::TravelPermitHkMo, "H1234567801"),
    ] {
        let bytes = minicbor::to_vec(&identity).unwrap();
        assert!(decode(&bytes).unwrap() == identity);
    }
    let stored = |kind: u8, normal: &str, given: Option<&str>, flagged: bool| {
        minicbor::to_vec((kind, normal, given, flagged)).unwrap()
    };
    let valid = "110101199001010007";
    assert!(decode(&stored(1, valid, None, false)).is_ok());
    // A rule that is stricter today: still readable, and a flag stays.
    assert!(decode(&stored(1, "110101209912319992", None, true)).unwrap().is_flagged());
    for (kind, normal, given) in [
        (0, valid, None),
        (10, valid, None),
        (4, valid, None),
        (1, "11010119900101000", None),
        (1, "110101900101001", None),
        (1, valid, Some("110101900101001")),
        (1, "11010119900101004x", None),
        (7, "E12345678", None),
        (7, ":E12345678", None),
        (5, "H1234567801", None),
    ] {
        assert!(decode(&stored(kind, normal, given, false)).is_err(), "{kind} {normal}");
    }
}

#[test]
fn kind_codes_round_trip() {
    for kind in Kind::ALL {
        assert_eq!(Kind::from_code(kind.code()), Some(kind));
        let bytes = minicbor::to_vec(kind).unwrap();
        assert_eq!(minicbor::decode::<Kind>(&bytes).unwrap(), kind);
    }
    assert_eq!(Kind::from_code("id"), None);
}
