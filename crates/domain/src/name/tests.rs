#![allow(clippy::unwrap_used, reason = "a test may stop at once")]

use proptest::prelude::*;

use super::*;

#[track_caller]
fn check_confirms(one: &str, other: &str, expected: bool) {
    let (one, other) = (Name::parse(one).unwrap(), Name::parse(other).unwrap());
    assert_eq!(one.confirms(&other), expected, "{} {}", one.as_str(), other.as_str());
    assert_eq!(other.confirms(&one), expected);
}

#[test]
fn names_that_confirm_each_other() {
    check_confirms("张三", "张三", true);
    check_confirms("张三", " 张三\u{3000}", true);
    for dot in ['\u{B7}', '\u{2022}', '\u{2027}', '\u{2219}', '\u{22C5}', '\u{30FB}', '\u{FF65}', '\u{FF0E}'] {
        check_confirms(&format!("阿凡{dot}提"), "阿凡\u{B7}提", true);
    }
    check_confirms("ＡＢＣ（广东）有限公司", "ABC(广东)有限公司", true);
    check_confirms("葛\u{E0101}某", "葛某", true);
    check_confirms("葛\u{FE00}某", "葛某", true);
    // A rare character of GB 18030 beyond the basic plane.
    check_confirms("\u{20BB7}某", "\u{20BB7}某", true);
}

#[test]
fn names_that_do_not() {
    check_confirms("张三", "张四", false);
    check_confirms("張三", "张三", false); // traditional and simplified
    check_confirms("阿凡.提", "阿凡\u{B7}提", false); // an ASCII full stop is not in the list
    check_confirms("阿凡提", "阿凡\u{B7}提", false);
    check_confirms("Anna Li", "ANNA LI", false);
    check_confirms("Anna Li", "Anna  Li", false);
    check_confirms("Anna Li", "AnnaLi", false);
}

#[test]
fn texts_that_are_no_names() {
    let check = |text: &str, expected: NameError| assert_eq!(Name::parse(text), Err(expected));
    check("", NameError::Empty);
    check(" \u{3000}", NameError::Empty);
    check("\u{FE0F}", NameError::Empty);
    check(&"三".repeat(101), NameError::TooLong { found: 101 });
    check("张\n三", NameError::ControlCharacter { position: 2 });
    check("\u{202E}三张", NameError::ControlCharacter { position: 1 });
    check("张三\u{2028}", NameError::ControlCharacter { position: 3 });
    assert!(Name::parse(&"三".repeat(100)).is_ok());
}

#[test]
fn the_original_is_kept_and_never_shown() {
    let name = Name::parse(" 阿凡•提").unwrap();
    assert_eq!(name.as_str(), " 阿凡•提");
    assert_eq!(format!("{name:?}"), "Name(…)");
}

proptest! {
    #[test]
    fn a_name_confirms_itself_and_comes_back_from_storage(text in "\\PC{1,100}") {
        let Ok(name) = Name::parse(&text) else { return Ok(()) };
        prop_assert!(name.confirms(&name));
        let stored = minicbor::to_vec(&name).unwrap();
        prop_assert!(minicbor::decode::<Name>(&stored).unwrap() == name);
        let folded = fold(&text);
        prop_assert_eq!(fold(&folded), folded);
    }
}
