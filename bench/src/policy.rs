//! The policies that a hub is run by: the three who take part here, alone or among as many as a country has.

use std::fmt::Write;

/// Courts and clients besides those who take part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    pub(crate) courts: usize,
    pub(crate) clients: usize,
}

/// Nobody else.
pub(crate) const SMALL: Size = Size { courts: 0, clients: 0 };
/// What the bank is granted besides the measure that it asks for, where it is: by that a policy is told from another.
pub(crate) const ALSO: &str = "finance.establish-institution";
/// The courts of the provinces, above the others.
const ABOVE: usize = 31;
/// What clients in their numbers are granted, each some of them.
const MEASURES: [&str; 4] = ["credit.lending", "policy.support", "procurement.supplier", "transaction.real-estate"];

/// Rates and quotas that no run reaches, so that they are charged as in earnest and refuse nothing.
const POLICY: &str = r#"format = 1
release = "one"
go_live = 2099-01-01
[[audience]]
id = "lenders"
measures = ["credit.lending"]
[[court]]
id = "leizhou"
name_zh = "广东省雷州市人民法院"
[[client]]
id = "court"
class = "court"
court = "leizhou"
legal_basis = "bench"
expires = 2099-12-31
rate_per_second = 10_000_000
daily_quota = 1_000_000_000
[[client]]
id = "bank"
class = "bank"
unit = "central-bank"
legal_basis = "bench"
impact_assessment = "bench"
expires = 2099-12-31
reach = ["online", "filter", "exact"]
audience = "lenders"
measures = [{ code = "credit.lending" }]
fields = ["relation", "effect"]
rate_per_second = 10_000_000
daily_quota = 1_000_000_000
[[client]]
id = "operator"
class = "operator"
legal_basis = "bench"
expires = 2099-12-31
rate_per_second = 1_000
daily_quota = 1_000_000
"#;

/// A policy of that size; `also` grants the bank [`ALSO`].
pub(crate) fn text(size: Size, also: bool) -> String {
    let granted = r#"measures = [{ code = "credit.lending" }"#;
    let mut text = match also {
        true => POLICY.replacen(granted, &format!(r#"{granted}, {{ code = "{ALSO}" }}"#), 1),
        false => POLICY.to_owned(),
    };
    // Writing to a string can't fail.
    for court in 0..size.courts {
        let _ = write!(
            text,
            "[[court]]\nid = \"court-{court}\"\nname_zh = \"第{court}号合成人民法院\"\nregion = \"440882\"\n\
             signers = [\"judge-{court}-1\", \"judge-{court}-2\"]\n",
        );
        if court >= ABOVE {
            let _ = writeln!(text, "above = \"court-{}\"", court % ABOVE);
        }
    }
    for client in 0..size.clients {
        let _ = write!(
            text,
            "[[client]]\nid = \"client-{client}\"\nlegal_basis = \"bench\"\nimpact_assessment = \"bench\"\n\
             expires = 2099-12-31\nrate_per_second = 100\ndaily_quota = 1_000_000\nclass = ",
        );
        let _ = match size.courts {
            // As many courts send as others ask.
            1.. if client % 2 == 0 => writeln!(text, "\"court\"\ncourt = \"court-{}\"", client % size.courts),
            _ => {
                let granted = MEASURES.iter().cycle().skip(client / 2).take(1 + client % MEASURES.len());
                let granted: Vec<String> = granted.map(|code| format!(r#"{{ code = "{code}" }}"#)).collect();
                let granted = granted.join(", ");
                writeln!(
                    text,
                    "\"bank\"\nunit = \"central-bank\"\nreach = [\"online\"]\nfields = [\"effect\"]\nmeasures = [{granted}]"
                )
            }
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_has_whom_it_should_and_grants_what_it_should() {
        let check = |size: Size, also| {
            let text = text(size, also);
            let of = |line: &str| text.lines().filter(|one| *one == line).count();
            assert_eq!((of("[[court]]"), of("[[client]]")), (size.courts + 1, size.clients + 3), "{size:?}");
            assert_eq!(text.contains(ALSO), also, "{size:?}");
        };
        check(SMALL, false);
        check(SMALL, true);
        check(Size { courts: 40, clients: 9 }, true);
    }
}
