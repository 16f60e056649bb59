#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use proptest::prelude::*;

use super::*;

/// `Ok((text, flagged))` or the error's code.
#[track_caller]
fn check(text: &str, expected: Result<(&str, bool), &str>) {
    let parsed = CaseNumber::parse(text);
    let told = parsed.as_ref().map(|number| (number.as_str(), number.is_flagged()));
    assert_eq!(told.map_err(|error| error.code()), expected, "{text}");
}

#[test]
fn standard_form() {
    for text in [
        "(2023)粤0882执1234号",
        "(2024)京01执异5号",
        "(2023)最高法民终1号",
        "(2023)最高法知民终1号",
        "(2023)最高法商初12345678号",
        "(2023)最高法知1号", // 知 as the type
        "(2023)粤执1号",
        "(2023)兵0101执恢12号",
        "(1999)粤08执1号",
    ] {
        check(text, Ok((text, false)));
    }
    check("（2023）粤0882执恢12号", Ok(("(2023)粤0882执恢12号", false)));
    check(" (２０２３）粤０８８２执１２号\u{3000}", Ok(("(2023)粤0882执12号", false)));
}

#[test]
fn not_the_standard_form() {
    check("2023粤0882执1234号", Err("year"));
    check("(2023)粤0882执01234号", Err("form"));
    check("(23)粤0882执1234号", Err("year"));
    check("(2123)粤0882执1234号", Err("year"));
    check("(2023粤0882执1234号", Err("year"));
    check("[2023]粤0882执1234号", Err("year"));
    check("(2023)粤0882执1234", Err("form"));
    check("(2023)粤0882执号", Err("form"));
    check("(2023)粤1执1号", Err("form"));
    check("(2023)粤08821执1号", Err("form"));
    check("(2023)粤08821号", Err("form"));
    check("(2023)粤0882执行恢复1号", Err("form"));
    check("(2023)天0882执1号", Err("form"));
    check("(2023)粤0882执123456789号", Err("form"));
    check("(2023)粤0882执1号之一", Err("form"));
    check("(2023)最高法知民终字终1号", Err("form"));
    check("", Err("year"));
    check(&format!("(2013)穗{}号", "1".repeat(100)), Err("too_long"));
}

#[test]
fn forms_from_before_2016_are_flagged() {
    check("(2013)穗中法执字第12号", Ok(("(2013)穗中法执字第12号", true)));
    check("（2013）穗中法执字第12-1号", Ok(("(2013)穗中法执字第12-1号", true)));
    check("(1998)雷法执字第007号", Ok(("(1998)雷法执字第007号", true)));
    check("(2015)穗中法执字第12号之一", Ok(("(2015)穗中法执字第12号之一", true)));
    check("(2016)穗中法执字第12号", Err("form"));
    check("(2013)穗中法执字第12", Err("old_form"));
    check("(2013)号", Err("old_form"));
    check("(2013)12号", Err("old_form"));
    check("(2013)穗<b>12号", Err("old_form"));
}

#[test]
fn stored_numbers_come_back() {
    for text in ["(2023)粤0882执1234号", "(2013)穗中法执字第12号"] {
        let number = CaseNumber::parse(text).unwrap();
        let bytes = minicbor::to_vec(&number).unwrap();
        assert_eq!(minicbor::decode::<CaseNumber>(&bytes).unwrap(), number);
    }
}

proptest! {
    /// The hand-written reading against the expression that the courts' rows were tried with.
    #[test]
    fn agrees_with_the_expression(
        text in prop_oneof![
            r"[(（](19|20)?[0-9]{2}[)）][最高法知商粤京兵天执恢民终0-9]{1,12}号?",
            r"\((19|20)[0-9]{2}\)(最高法[知商]?|[粤京][0-9]{0,5})[执恢民知商]{0,4}[0-9]{0,9}号",
        ],
    ) {
        let expression = regex::Regex::new(concat!(
            r"^[（(](19|20)\d{2}[)）](最高法(知|商)?|",
            r"[京津冀晋内辽吉黑沪苏浙皖闽赣鲁豫鄂湘粤桂琼渝川贵云藏陕甘青宁新军兵](\d{2,4})?)",
            r"[\u{4e00}-\u{9fff}]{1,3}[1-9]\d{0,7}号$",
        )).unwrap();
        let standard = CaseNumber::parse(&text).is_ok_and(|number| !number.is_flagged());
        prop_assert_eq!(standard, expression.is_match(&text));
    }
}
