//! The courts' own column layout, as files carry it: names and texts that reader and writer must agree on.

/// The columns of a file of listings.
pub const LISTING_COLUMNS: [&str; 18] = [
    "iname",
    "sexy",
    "age",
    "cardNum",
    "caseCode",
    "courtName",
    "areaName",
    "gistId",
    "gistUnit",
    "duty",
    "performance",
    "performedPart",
    "unperformPart",
    "disruptTypeName",
    "publishDate",
    "regDate",
    "businessEntity",
    "partyTypeName",
];

/// The columns that follow in a file of the mode `current`.
pub const CURRENT_COLUMNS: [&str; 6] = ["decisionNo", "decisionDate", "servedDate", "termMonths", "signer", "ground"];

/// The columns of a file of relations. `listing` is the hub's number; where it is empty, `caseCode` and `cardNum` (the
/// debtor's) name the listing.
pub const RELATION_COLUMNS: [&str; 10] =
    ["listing", "caseCode", "cardNum", "kind", "number", "name", "role", "basisDocument", "from", "until"];

/// The columns of a file of answers.
pub const ANSWER_COLUMNS: [&str; 4] = ["kind", "number", "name", "expected"];

/// `partyTypeName` of a person.
pub const PERSON: &str = "自然人";
/// `partyTypeName` of an organisation.
pub const ORGANISATION: &str = "法人或其他组织";

/// What `disruptTypeName` says for grounds ① to ⑥ of 法释〔2017〕7号 art. 1: each with its wordings.
pub const CONDUCTS: [&[&str]; 6] = [
    &["有履行能力而拒不履行生效法律文书确定义务"],
    &["伪造证据妨碍、抗拒执行", "以暴力、威胁方法妨碍、抗拒执行"],
    &["虚假诉讼、虚假仲裁规避执行", "隐匿、转移财产规避执行"],
    &["违反财产报告制度"],
    &["违反限制消费令"],
    &["无正当理由拒不履行执行和解协议"],
];
