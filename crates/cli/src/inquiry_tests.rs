use super::*;

#[test]
fn officers() {
    let check =
        |text: &str, expected: Result<(v1::Capacity, v1::IdentityKind, &str), &str>| match (officer(text), expected) {
            (Ok(officer), Ok((capacity, kind, state))) => {
                let identity = officer.identity.clone().unwrap();
                assert_eq!((officer.capacity(), identity.kind(), &*identity.issuing_state), (capacity, kind, state));
            }
            (Err(problem), Err(part)) => {
                assert!(problem.contains(part), "{problem:?} lacks {part:?}");
                assert!(!problem.contains("110101199001010007"), "{problem:?} repeats the number");
            }
            (got, expected) => panic!("{text}: {got:?}, expected {expected:?}"),
        };
    use v1::{Capacity, IdentityKind};
    check("director:resident_id:110101199001010007", Ok((Capacity::Director, IdentityKind::ResidentId, "")));
    check("supervisor:passport:CHN:E12345678", Ok((Capacity::Supervisor, IdentityKind::Passport, "CHN")));
    check("director:110101199001010007", Err("CAPACITY:KIND:NUMBER"));
    check("boss:resident_id:110101199001010007", Err("capacity: expected one of legal_representative"));
    check("director:id:110101199001010007", Err("kind: expected one of resident_id"));
}

#[test]
fn conditions() {
    let check = |text: &str, expected: Option<Answer>| {
        assert_eq!(condition(text).ok().and_then(|answer| answer.answer), expected, "{text}");
    };
    check("payer_only=met", Some(Answer::Met(true)));
    check("payer_only=not_met", Some(Answer::Met(false)));
    check("amount_required=amount:120050", Some(Answer::AmountFen(120_050)));
    check("acquired_after_listing=date:2026-01-31", Some(Answer::Date("2026-01-31".to_owned())));
    check("acquired_after_listing=date:2026-02-30", None);
    check("amount_required=amount:12.5", None);
    check("payer_only", None);
    check("payer_only=yes", None);
    check("=met", None);
}

#[test]
fn identity_files() {
    let check = |text: &str, expected: Option<(&str, Option<&str>)>| {
        let read = identity_of(text, Path::new("f")).ok();
        assert_eq!(read.as_ref().map(|(number, name)| (&**number, name.as_deref())), expected, "{text:?}");
    };
    check("110101199001010007\n", Some(("110101199001010007", None)));
    check("\u{FEFF} 110101199001010007 \r\n 测试\r\n\n", Some(("110101199001010007", Some("测试"))));
    check("", None);
    check("\n测试", None);
    check("1\n2\n3\n", None);
}

#[test]
fn tokens() {
    let check =
        |text: &str, expected: Option<&[u8]>| assert_eq!(token(text).ok().map(|token| token.0).as_deref(), expected);
    check("01ff", Some(&[1, 255]));
    check("", None);
    check("01f", None);
    check("zz", None);
    check("é1", None);
}
