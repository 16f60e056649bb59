//! What holds of every number, tried on generated ones.

#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use jiff::civil::date;
use proptest::prelude::*;

use super::*;

const TODAY: Date = date(2026, 1, 15);

fn birth() -> impl Strategy<Value = Date> {
    (0..46_000i32).prop_map(|days| date(1900, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap_or(TODAY))
}

fn region() -> impl Strategy<Value = String> {
    (prop::sample::select(vec!["11", "31", "44", "65", "71"]), 0..10_000u16)
        .prop_map(|(province, rest)| format!("{province}{rest:04}"))
}

fn resident_id() -> impl Strategy<Value = String> {
    (region(), birth(), 0..1000u16).prop_map(|(region, birth, n)| synthetic::resident_id(&region, birth, n))
}

fn credit_code() -> impl Strategy<Value = String> {
    (prop::sample::select(vec!["91", "11", "52", "N2", "A1", "Y1", "93"]), region(), any::<u64>())
        .prop_map(|(head, region, seed)| synthetic::uscc(head, &region, seed))
}

/// A valid number of any kind, in any spelling that folds to it.
fn identity() -> impl Strategy<Value = (Kind, String)> {
    let permit = (prop::sample::select(vec!["810000", "820000", "830000"]), birth(), 0..1000u16)
        .prop_map(|(region, birth, n)| (Kind::ResidencePermit, synthetic::resident_id(region, birth, n)));
    let card = ("9[0-9]{5}", birth(), 0..1000u16)
        .prop_map(|(region, birth, n)| (Kind::PermanentResident, synthetic::resident_id(&region, birth, n)));
    let old_id = (region(), 0..36_500i64, 0..1000u16).prop_map(|(region, days, n)| {
        let birth = date(1900, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
        (Kind::ResidentId, synthetic::resident_id_15(&region, birth, n))
    });
    prop_oneof![
        resident_id().prop_map(|number| (Kind::ResidentId, number)),
        old_id,
        permit,
        card,
        credit_code().prop_map(|code| (Kind::Uscc, code)),
        "[A-NQ-Z0-9]{8}".prop_map(|body| (Kind::OrganisationCode, synthetic::organisation_code(&body))),
        "[HM][0-9]{8}([0-9]{2})?".prop_map(|number| (Kind::TravelPermitHkMo, number)),
        "[0-9]{8}([0-9]{2})?".prop_map(|number| (Kind::TravelPermitTaiwan, number)),
        "[EKGDSPH][0-9]{8}|E[A-F][0-9]{7}".prop_map(|number| (Kind::Passport, number)),
        "[A-Z]{3}[0-9]{12}".prop_map(|number| (Kind::PermanentResidentOld, number)),
    ]
}

fn parse(kind: Kind, number: &str) -> Result<Identity, Violations> {
    let state = (kind == Kind::Passport).then_some("CHN");
    Identity::parse(kind, number, state, Source::LookerUp, TODAY)
}

fn keys(identity: &Identity) -> Vec<KeyInput> {
    identity.keys().collect()
}

/// `number` in full width, lower case and with white space around it.
fn spelled_otherwise(number: &str) -> String {
    let wide = |c: char| match u32::from(c) {
        code @ 0x21..=0x7E => char::from_u32(code + 0xFEE0).unwrap(),
        0..=0x20 | 0x7F.. => c,
    };
    format!("\u{3000} {}\t", number.to_lowercase().chars().map(wide).collect::<String>())
}

/// `number` with its character at `index` replaced by another digit.
fn with_other_digit(number: &str, index: usize, step: u8) -> String {
    let mut bytes = number.as_bytes().to_vec();
    let old = bytes[index];
    bytes[index] = if old.is_ascii_digit() { (old - b'0' + step) % 10 + b'0' } else { b'0' + step };
    String::from_utf8(bytes).unwrap()
}

proptest! {
    #[test]
    fn what_is_plain_at_one_look_is_so_at_every_other(
        (kind, number) in identity(),
        at in 0..20usize,
        other in prop::char::range(' ', '~'),
        born_later in any::<bool>(),
    ) {
        let mangled: String = number.chars().enumerate().map(|(place, c)| if place == at { other } else { c }).collect();
        let today = if born_later { date(1930, 6, 1) } else { TODAY };
        for number in [number, mangled] {
            let whole = Identity::parse_any(kind, &number, None, Source::LookerUp, today);
            if let Some(plain) = personal::plain(kind, &number, None, today) {
                prop_assert_eq!(plain.warnings(), &[]);
                prop_assert_eq!((plain.birth_date(), plain.sex()), (whole.clone().unwrap().birth_date(), whole.clone().unwrap().sex()));
                prop_assert_eq!(Some(plain), whole.ok());
            } else if let Ok(whole) = whole {
                // Whoever is written and numbered as most are is told at one look.
                let is_written_otherwise = whole.normal_form() != number;
                prop_assert!(kind != Kind::ResidentId || is_written_otherwise || !whole.warnings().is_empty());
            }
        }
    }

    #[test]
    fn every_spelling_has_one_normal_form_and_one_set_of_keys((kind, number) in identity()) {
        let identity = parse(kind, &number).unwrap();
        let otherwise = parse(kind, &spelled_otherwise(&number)).unwrap();
        prop_assert_eq!(identity.normal_form(), otherwise.normal_form());
        prop_assert_eq!(keys(&identity), keys(&otherwise));

        let (_, normal) = identity.normal_form().rsplit_once(':').unwrap_or(("", identity.normal_form()));
        let again = parse(kind, normal).unwrap();
        prop_assert_eq!(identity.normal_form(), again.normal_form());
        prop_assert_eq!(keys(&identity), keys(&again));
    }

    #[test]
    fn a_15_digit_id_has_the_key_of_its_18_digit_form(region in region(), days in 0..36_500i64, n in 0..1000u16) {
        let birth = date(1900, 1, 1).checked_add(jiff::Span::new().days(days)).unwrap();
        let old = parse(Kind::ResidentId, &synthetic::resident_id_15(&region, birth, n)).unwrap();
        let new = parse(Kind::ResidentId, &synthetic::resident_id(&region, birth, n)).unwrap();
        prop_assert_eq!(keys(&old), keys(&new));
    }

    #[test]
    fn one_wrong_digit_in_a_personal_number_is_always_refused(
        number in resident_id(), index in 0..18usize, step in 1..10u8,
    ) {
        prop_assert!(parse(Kind::ResidentId, &with_other_digit(&number, index, step)).is_err());
    }

    #[test]
    fn two_neighbours_swapped_in_a_personal_number_are_always_refused(
        number in resident_id(), index in 0..17usize,
    ) {
        let mut bytes = number.clone().into_bytes();
        bytes.swap(index, index + 1);
        let swapped = String::from_utf8(bytes).unwrap();
        prop_assume!(swapped != number);
        prop_assert!(parse(Kind::ResidentId, &swapped).is_err());
    }

    #[test]
    fn one_wrong_character_in_a_credit_code_is_never_confirmed(
        code in credit_code(), index in 0..18usize, other in 0..31usize,
    ) {
        let mut bytes = code.clone().into_bytes();
        bytes[index] = check::CREDIT_CODE_CHARS[other];
        let wrong = String::from_utf8(bytes).unwrap();
        prop_assume!(wrong != code);
        prop_assert!(parse(Kind::Uscc, &wrong).is_err());
        let from_court = Identity::parse(Kind::Uscc, &wrong, None, Source::Court, TODAY);
        prop_assert!(from_court.is_err() || from_court.is_ok_and(|identity| identity.is_flagged()));
    }

    #[test]
    fn a_credit_code_shares_a_key_with_its_organisation_code(code in credit_code()) {
        let whole = parse(Kind::Uscc, &code).unwrap();
        let part = parse(Kind::OrganisationCode, &code[8..17]).unwrap();
        prop_assert_eq!(keys(&part), &keys(&whole)[..1]);
    }

    #[test]
    fn keys_are_equal_exactly_when_space_and_normal_form_are(a in identity(), b in identity()) {
        let (a, b) = (parse(a.0, &a.1).unwrap(), parse(b.0, &b.1).unwrap());
        let last = |identity: &Identity| keys(identity).pop().unwrap();
        let same = last(&a).key_space() == last(&b).key_space() && a.normal_form() == b.normal_form();
        prop_assert_eq!(last(&a) == last(&b), same);
    }

    #[test]
    fn key_inputs_hold_space_length_form_and_zeros((kind, number) in identity()) {
        let identity = parse(kind, &number).unwrap();
        let key = keys(&identity).pop().unwrap();
        let bytes = key.as_bytes();
        let length = usize::from(bytes[1]);
        prop_assert_eq!(bytes[0], key.key_space() as u8);
        prop_assert_eq!(&bytes[2..2 + length], identity.normal_form().as_bytes());
        prop_assert!(bytes[2 + length..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_kind_that_parses_fits((kind, number) in identity()) {
        prop_assert!(fitting_kinds(&number, kind.subject(), TODAY).contains(&kind));
    }

    #[test]
    fn a_number_in_text_is_found_and_its_corrupted_twin_is_not(
        number in prop_oneof![resident_id(), credit_code()],
        before in "[^0-9A-Za-z０-９Ａ-Ｚａ-ｚ]{0,20}",
        after in "[^0-9A-Za-z０-９Ａ-Ｚａ-ｚ]{0,20}",
        index in 0..18usize,
        step in 1..10u8,
    ) {
        let in_text = |number: &str| contains_identity(&format!("{before}{number}{after}"));
        prop_assert!(in_text(&number));
        prop_assert!(in_text(&spelled_otherwise(&number)));
        let twin = with_other_digit(&number, index, step);
        // One wrong digit may make a valid number of another kind.
        prop_assume!(Kind::ALL.into_iter().all(|kind| parse(kind, &twin).is_err()));
        prop_assert!(!in_text(&twin));
    }

    #[test]
    fn stored_identities_come_back((kind, number) in identity()) {
        let identity = parse(kind, &number).unwrap();
        let bytes = minicbor::to_vec(&identity).unwrap();
        prop_assert!(minicbor::decode::<Identity>(&bytes).unwrap() == identity);
    }

    #[test]
    fn anything_can_be_parsed_without_panic(text in ".{0,40}", state in ".{0,5}") {
        for kind in Kind::ALL {
            if let Err(violations) = Identity::parse(kind, &text, Some(&state), Source::Court, TODAY) {
                prop_assert!(violations.iter().count() > 0);
            }
        }
        contains_identity(&text);
    }

    #[test]
    fn error_texts_never_repeat_the_number(number in resident_id(), index in 0..18usize, step in 1..10u8) {
        let wrong = with_other_digit(&number, index, step);
        for kind in Kind::ALL {
            if let Err(violations) = parse(kind, &wrong) {
                let text = violations.to_string();
                // Seven characters in a row would tell a region and more (six of them are a
                // prefix that the text may name).
                let mut parts = wrong.as_bytes().windows(7).map(|part| std::str::from_utf8(part).unwrap());
                let repeated = parts.any(|part| text.contains(part));
                prop_assert!(!repeated);
            }
        }
    }
}
