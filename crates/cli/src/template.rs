//! Empty files of content, with what belongs where.

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Template {
    /// notice, propose, publish, amend, rectify
    Listing,
    /// restore
    Decision,
    /// relation set
    Relation,
    /// exempt
    Exemption,
}

impl Template {
    /// TOML, all comments where a value is optional.
    pub(crate) fn text(self) -> &'static str {
        match self {
            Template::Listing => LISTING,
            Template::Decision => DECISION,
            Template::Relation => RELATION,
            Template::Exemption => EXEMPTION,
        }
    }
}

const LISTING: &str = r#"# A listing, for `xinhub listing notice|propose|publish|amend|rectify --content FILE` (法释〔2017〕7号 arts. 5, 6).
# Dates are YYYY-MM-DD. Take the # away from what applies.

name = ""                  # as on the document
# sex = "male"             # male or female; persons only
# birth_date = ""          # where no identity carries it (passports, travel permits)
# representative_name = "" # organisations: the legal representative. Stored, never looked up
ground = 0                 # 1 able but refuses, 2 forged evidence or violence, 3 hiding assets,
                           # 4 breach of asset report, 5 breach of a consumption restriction, 6 refusing settlement
case_number = ""           # such as (2023)粤0882执1234号
basis_document = ""        # number of the judgment or award
basis_issuer = ""          # who issued it
# filed_on = ""
# published_on = ""
# area = ""                # province
# obligation = ""          # what is owed
# performance = ""         # such as 全部未履行
# performed_part = ""
# unperformed_part = ""
# conduct = ""             # in the court's words
# notice_served_on = ""    # when the risk notice was served: before the decision, unless `listing notice` has said so
# visibility = "public"    # public, departmental, own_unit_only
# own_unit = ""            # for own_unit_only: the client id of the subject's own unit, which alone is told
# bars = []                # what was found that bars ground 1: security_given, seized_covers_debt, later_in_order,
#                          # not_able_but_refuses (法释〔2017〕7号 art. 3)

# 1 to 4 identities of the one subject.
[[identities]]
kind = "resident_id"       # resident_id, residence_permit, uscc, organisation_code, travel_permit_hk_mo,
                           # travel_permit_taiwan, passport, permanent_resident, permanent_resident_old
number = ""
# issuing_state = ""       # passports: three letters, such as CHN

# The written decision. Leave it out of a notice.
[decision]
number = ""
date = ""
reasons = ""
term_months = 0            # 24 for grounds 2 to 6; 0 for ground 1, which has no fixed term
signer = ""                # staff id of the court's president
# served_on = ""           # when served on the subject; later: `xinhub listing serve`
grace_days = 0             # days after service in which no measure reaches the subject
"#;

const DECISION: &str = r#"# A new decision, for `xinhub listing restore LISTING --content FILE`. Dates are YYYY-MM-DD.

number = ""
date = ""
reasons = ""
term_months = 0            # 24 for grounds 2 to 6; 0 for ground 1, which has no fixed term
signer = ""                # staff id of the court's president
# served_on = ""           # when served on the subject; later: `xinhub listing serve`
grace_days = 0             # days after service in which no measure reaches the subject
"#;

const RELATION: &str = r#"# A related person of a listed organisation, for `xinhub relation set LISTING --content FILE` (法释〔2015〕17号).
# Dates are YYYY-MM-DD.

relation = "legal_representative" # legal_representative, principal, actual_controller, directly_responsible
name = ""
basis_document = ""               # the document that shows it
from = ""
# until = ""                      # last day; without it as long as the listing

[identity]
kind = "resident_id"
number = ""
# issuing_state = ""              # passports: three letters, such as CHN
"#;

const EXEMPTION: &str = r#"# One person's exemption, for `xinhub listing exempt LISTING --content FILE` (法发〔2019〕35号). At most one month.

measures = []                      # such as ["consumption.rail-air"]; empty: all
items = []                         # items of these measures; empty: all
from = "2026-01-01T00:00:00+08:00" # RFC 3339
until = "2026-01-02T00:00:00+08:00"
ground = ""
approver = ""                      # staff id of the court's president

[identity]
kind = "resident_id"
number = ""
# issuing_state = ""               # passports: three letters, such as CHN
"#;
