//! The texts of synthetic files that a reader must agree on. Header, trailer and columns are the domain's own
//! ([`xinhub_domain::import`]).

use xinhub_domain::import::RelationColumn;

/// The columns of a file of relations. `listing` stays empty, since the hub gives the numbers: `caseCode` and `cardNum` (the
/// debtor's) name the listing.
pub const RELATION_COLUMNS: [RelationColumn; 10] = [
    RelationColumn::Listing,
    RelationColumn::CaseCode,
    RelationColumn::CardNum,
    RelationColumn::Kind,
    RelationColumn::Number,
    RelationColumn::Name,
    RelationColumn::Role,
    RelationColumn::BasisDocument,
    RelationColumn::From,
    RelationColumn::Until,
];

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
