use super::*;
use crate::template::Template;

/// Reads a file and tells what was wrong with it.
fn check(text: &str, expected: Result<(), &str>) {
    let read = parse::<ContentFile>(text).and_then(v1::ListingContent::try_from);
    match (read, expected) {
        (Ok(_), Ok(())) => {}
        (Err(problem), Err(part)) => assert!(problem.contains(part), "{problem:?} lacks {part:?}"),
        (read, expected) => panic!("{text:?}: {read:?}, expected {expected:?}"),
    }
}

#[test]
fn content_is_read_strictly() {
    let person =
        "name = \"测试\"\nground = 1\n[[identities]]\nkind = \"resident_id\"\nnumber = \"110101199001010007\"\n";
    check(person, Ok(()));
    check(r#"{"name": "测试", "identities": [{"kind": "uscc", "number": "91110101000000019Y"}]}"#, Ok(()));
    check("name = \"测试\"\nsex = \"unknown\"", Err("sex: expected one of male, female"));
    check("nmae = \"测试\"", Err("line 1: unknown field `nmae`"));
    check("name = \"测试\"\n\nground = \"one\"", Err("line 3"));
    check("[[identities]]\nkind = \"id\"\nnumber = \"\"", Err("identity kind: expected one of resident_id"));
    check("[[identities]]\nkind = \"uscc\"", Err("missing field `number`"));
}

#[test]
fn errors_show_no_value() {
    let check = |text: &str, part: &str| {
        let problem = parse::<ContentFile>(text).unwrap_err();
        assert!(problem.contains(part), "{problem:?} lacks {part:?}");
        assert!(!problem.contains("不可示人") && !problem.contains("110101199001010007"), "{problem}");
    };
    let identity = "[[identities]]\nkind = \"resident_id\"\nnumber = 110101199001010007";
    check(&format!("name = \"不可示人\"\n{identity}"), "line 4: wrong type or value, expected a string");
    check(r#"{"name": "不可示人", "ground": "不可示人"}"#, "line 1: wrong type or value, expected i32");
    check("name = \"不可示人\"\nground = \"不可示人\"", "line 2: wrong type or value, expected i32");
    check("name = \"不可示人", "line 1");
}

#[test]
fn templates_are_valid() {
    assert!(parse::<ContentFile>(Template::Listing.text()).and_then(v1::ListingContent::try_from).is_ok());
    assert!(parse::<DecisionFile>(Template::Decision.text()).and_then(v1::Decision::try_from).is_ok());
    assert!(parse::<RelationFile>(Template::Relation.text()).and_then(v1::RelationContent::try_from).is_ok());
    assert!(parse::<ExemptionFile>(Template::Exemption.text()).and_then(v1::ExemptionContent::try_from).is_ok());
}

#[test]
fn templates_offer_every_field() {
    // With every # taken away, all fields are there: none may be missing from the template.
    let uncommented: String = Template::Listing
        .text()
        .lines()
        .map(|line| line.strip_prefix("# ").filter(|rest| rest.contains(" = ")).unwrap_or(line))
        .flat_map(|line| [line, "\n"])
        .collect();
    let file: ContentFile = parse(&uncommented).unwrap();
    let json = serde_json::to_value(&file).unwrap();
    let missing: Vec<&String> = json.as_object().unwrap().iter().filter(|(_, v)| v.is_null()).map(|(k, _)| k).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn what_get_shows_can_be_sent_back() {
    let text = "name = \"测试\"\nsex = \"male\"\nground = 4\ncase_number = \"(2023)粤0882执1234号\"\n\
        [[identities]]\nkind = \"passport\"\nnumber = \"E12345678\"\nissuing_state = \"CHN\"\n\
        [decision]\nnumber = \"1\"\ndate = \"2026-01-05\"\nterm_months = 24\n";
    let content: v1::ListingContent = parse::<ContentFile>(text).unwrap().try_into().unwrap();
    let shown = serde_json::to_string(&ContentFile::from(content.clone())).unwrap();
    let again: v1::ListingContent = parse::<ContentFile>(&shown).unwrap().try_into().unwrap();
    assert_eq!(again, content);
}
