//! From the text of `policy.toml` to a checked policy.

mod client;

use std::collections::HashSet;
use std::sync::Arc;

use hashbrown::HashMap;

use super::client::Client;
use super::grounds::Grounds;
use super::read::{At, Reader, Section, one_of};
use super::{Audience, Court, Courts, POLICY_FILE, Policy, Release, Rules};
use crate::deadline::{Calendar, Deadlines, Profile, Profiles};
use crate::fault::{Fault, Faults, choose};
use crate::listing::{Actor, Ground, MAX_GRACE_DAYS};
use crate::measure::{Catalogue, Condition, Measure, MeasureId, RelationSet};
use client::ClientReader;

/// The only format there is.
const FORMAT: u64 = 1;
/// A hundred million yuan.
const MAX_LIMIT_FEN: u64 = 10_000_000_000;

/// Counts below it could single somebody out.
const REPORT_FLOOR: u32 = 5;
/// Of a hundred listings in force, so many that a complete list adds are one actor's to publish, where else two people release:
/// some days of what comes in, and no other list than the court's own.
const ADDITIONS_ALONE_PERCENT: u8 = 5;
/// The profile of courts that name none.
const STATUTE: &str = "spc-2017";

pub(super) fn policy(
    text: &str,
    catalogue: &Catalogue,
    profiles: &Profiles,
    calendar: &Arc<Calendar>,
) -> Result<Policy, Faults> {
    let reader = Reader::new(POLICY_FILE, text);
    let document = reader.document();
    let policy = if reader.is_sound() {
        read(Section::root(&reader, &document), catalogue, profiles, calendar)
    } else {
        // Half a document would bring faults that aren't there.
        None
    };
    let faults = reader.finish();
    match policy {
        Some(policy) => faults.or(policy),
        None => Err(faults.or(()).err().unwrap_or_default()),
    }
}

fn read(root: Section, catalogue: &Catalogue, profiles: &Profiles, calendar: &Arc<Calendar>) -> Option<Policy> {
    let mut catalogue = catalogue.clone();
    root.required_count("format", FORMAT..=FORMAT, "write format = 1");
    let release = match root.has("release") {
        true => root.text("release").and_then(|at| one_of(root.reader, &at, Release::ALL, Release::as_str)),
        // One person alone lists nobody, unless the policy says that one may.
        false => Some(Release::Two),
    };
    let additions_alone_percent =
        root.count("additions_alone_percent", 0..=100).and_then(|share| u8::try_from(share).ok());
    for section in root.sections("enable") {
        enable(section, &mut catalogue);
    }
    let (courts, by_court) = courts(&root, profiles);
    let mut warnings: Vec<Fault> = without_signers(&courts.all).filter(|_| release == Some(Release::Two)).collect();
    let audiences = audiences(&root, &catalogue);
    let mut clients: HashMap<Arc<str>, Arc<Client>> = HashMap::new();
    for section in root.sections("client") {
        let mut reader = ClientReader {
            section: &section,
            catalogue: &catalogue,
            courts: &courts,
            audiences: &audiences,
            warnings: &mut warnings,
        };
        let client = reader.client();
        if let (Some(client), Some(id)) = (client, section.text("id"))
            && clients.insert(Arc::clone(&client.id), Arc::new(client)).is_some()
        {
            id.fault(root.reader, format!("client `{}` stands twice", id.value), "give each client one grant");
        }
        section.finish();
    }
    let limits_fen = limits(&root, &catalogue);
    let grace_max_days = root.section("grace").and_then(|section| {
        let days = section.required_count("max_days", 0..=u64::from(MAX_GRACE_DAYS), "write max_days = 90");
        section.finish();
        days.and_then(|days| u32::try_from(days).ok())
    });
    let grounds = grounds(&root);
    let report_floor = root.count("report_floor", 2..=1_000).and_then(|floor| u32::try_from(floor).ok());
    let rules = rules(&root, &courts.all, by_court, profiles, calendar);
    root.finish();
    Some(Policy {
        catalogue: Arc::new(catalogue),
        release: release?,
        additions_alone_percent: additions_alone_percent.unwrap_or(ADDITIONS_ALONE_PERCENT),
        courts,
        audiences,
        clients,
        limits_fen,
        grace_max_days: grace_max_days.unwrap_or(MAX_GRACE_DAYS),
        grounds,
        report_floor: report_floor.unwrap_or(REPORT_FLOOR),
        rules: Arc::new(rules?),
        warnings,
    })
}

/// Which deadlines each court goes by.
fn rules(
    root: &Section,
    courts: &[Court],
    by_court: Vec<(Arc<str>, Arc<Profile>)>,
    profiles: &Profiles,
    calendar: &Arc<Calendar>,
) -> Option<Rules> {
    let go_live = root.day("go_live").map(|at| at.value);
    let default = if root.has("profile") {
        root.text("profile").and_then(|at| profile(root.reader, &at, profiles))
    } else {
        let statute = profiles.profile(STATUTE).map(Arc::clone);
        if statute.is_none() {
            root.missing("profile", choose("", profiles.names()));
        }
        statute
    };
    let deadlines = |profile| Arc::new(Deadlines::new(profile, Arc::clone(calendar)));
    let above = courts.iter().filter_map(|court| Some((Arc::clone(&court.id), Arc::clone(court.above.as_ref()?))));
    Some(Rules {
        default: deadlines(default?),
        courts: by_court.into_iter().map(|(court, profile)| (court, deadlines(profile))).collect(),
        above: above.collect(),
        go_live,
    })
}

fn profile(reader: &Reader, at: &At<&str>, profiles: &Profiles) -> Option<Arc<Profile>> {
    let found = profiles.profile(at.value).map(Arc::clone);
    if found.is_none() {
        at.fault(reader, format!("there is no profile `{}`", at.value), choose(at.value, profiles.names()));
    }
    found
}

/// The measure that a text names.
fn measure<'c>(reader: &Reader, at: &At<&str>, catalogue: &'c Catalogue) -> Option<&'c Measure> {
    let found = catalogue.measure(at.value);
    if found.is_none() {
        let fix = match crate::fault::nearest(at.value, catalogue.measures().iter().map(|measure| &*measure.code)) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "write a code of the catalogue (measures.tsv)".to_owned(),
        };
        at.fault(reader, format!("measure `{}` is not in the catalogue", at.value), fix);
    }
    found
}

/// `[[enable]]`: switches a row on, with its legal basis.
fn enable(section: Section, catalogue: &mut Catalogue) {
    let code = section.required_text("measure", "name the measure to switch on");
    let basis = section.required_text("legal_basis", "name the law and article, or the decision, that it rests on");
    if let Some(at) = code
        && let Some(row) = measure(section.reader, &at, catalogue)
    {
        let id = row.id;
        if !row.is_askable() {
            let problem = format!("`{}` is {}: no lookup, so there is nothing to switch on", at.value, row.effect);
            at.fault(section.reader, problem, "take this entry out");
        } else if row.enabled {
            at.fault(section.reader, format!("`{}` is switched on already", at.value), "take this entry out");
        } else if let Some(basis) = basis {
            catalogue.switch_on(id, basis.value.to_owned());
        }
    }
    section.finish();
}

/// Ids stand in URIs, file names and logs.
fn is_id(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    (1..=64).contains(&text.len()) && text.chars().all(fits) && !text.starts_with('-') && !text.ends_with('-')
}

fn id<'d>(section: &Section<'d, '_>) -> Option<At<&'d str>> {
    let id = section.required_text("id", "give it an id of lower-case letters, digits and hyphens")?;
    if !is_id(id.value) {
        let fix = "write 1 to 64 lower-case letters, digits and hyphens";
        id.fault(section.reader, format!("`{}` is no id", id.value), fix);
        return None;
    }
    Some(id)
}

/// A court's id, and the profile that it names.
type ByCourt = (Arc<str>, Arc<Profile>);

/// The courts, and the profiles that they name.
fn courts(root: &Section, profiles: &Profiles) -> (Courts, Vec<ByCourt>) {
    let (mut courts, mut names) = (Courts::default(), HashSet::new());
    let mut by_court = Vec::new();
    let mut aboves: Vec<(usize, At<&str>)> = Vec::new();
    for section in root.sections("court") {
        let id = id(&section);
        let name = section.required_text("name_zh", "write the court's name as in the column courtName");
        let region = section.text("region");
        if let Some(region) =
            region.as_ref().filter(|at| at.value.len() != 6 || !at.value.bytes().all(|b| b.is_ascii_digit()))
        {
            region.fault(section.reader, "is no region code", "write six digits (GB/T 2260), such as \"440882\"");
        }
        let above = section.text("above");
        let signers = signers(&section);
        let own = section.text("profile").and_then(|at| profile(section.reader, &at, profiles));
        by_court.extend(id.as_ref().zip(own).map(|(id, own)| (Arc::from(id.value), own)));
        if let (Some(id), Some(name)) = (&id, &name) {
            if courts.get(id.value).is_some() {
                id.fault(
                    section.reader,
                    format!("court `{}` stands twice", id.value),
                    "give each court an id of its own",
                );
            }
            if !names.insert(name.value) {
                name.fault(
                    section.reader,
                    "is another court's name too",
                    "import files tell courts apart by name: make it whole",
                );
            }
            aboves.extend(above.map(|above| (courts.all.len(), above)));
            courts.push(Court {
                id: id.value.into(),
                name_zh: name.value.to_owned(),
                region: region.map(|at| at.value.to_owned()),
                above: None,
                signers,
            });
        }
        section.finish();
    }
    for (index, above) in aboves {
        if courts.get(above.value).is_some() {
            courts.all[index].above = Some(above.value.into());
            if is_above_itself(&courts, index) {
                courts.all[index].above = None;
                above.fault(
                    root.reader,
                    "makes the court stand above itself",
                    "name the court that hears its reconsiderations",
                );
            }
        } else {
            let fix = choose(above.value, courts.all.iter().map(Court::id));
            above.fault(root.reader, format!("court `{}` is not in this file", above.value), fix);
        }
    }
    (courts, by_court)
}

/// `[[audience]]`: whom replicas tell of.
fn audiences(root: &Section, catalogue: &Catalogue) -> Vec<Arc<Audience>> {
    let mut audiences: Vec<Arc<Audience>> = Vec::new();
    for section in root.sections("audience") {
        let id = id(&section);
        if !section.has("measures") {
            section.missing("measures", "list the codes of the measures that its members ask for");
        }
        let mut measures: Vec<MeasureId> = Vec::new();
        let mut relations = RelationSet::EMPTY;
        for at in section.texts("measures") {
            let Some(row) = measure(section.reader, &at, catalogue) else { continue };
            if !row.is_askable() || !row.enabled {
                let problem = format!("`{}` can't be asked here, so no replica answers it", at.value);
                at.fault(section.reader, problem, "switch it on with [[enable]] and its legal basis, or take it out");
            } else if measures.contains(&row.id) {
                at.fault(section.reader, format!("`{}` stands twice", at.value), "keep one");
            } else {
                measures.push(row.id);
                // Officers are looked up as debtors themselves.
                let officers = if row.also_check.is_empty() { RelationSet::EMPTY } else { RelationSet::DEBTOR };
                relations = relations.or(row.mask()).or(officers);
            }
        }
        if let Some(id) = id {
            if audiences.iter().any(|audience| audience.id() == id.value) {
                id.fault(root.reader, format!("audience `{}` stands twice", id.value), "give each an id of its own");
            }
            if audiences.len() == Audience::MAX {
                let problem = format!("is one audience more than the {} that a hub has", Audience::MAX);
                id.fault(root.reader, problem, "put clients with the same measures into one audience");
            }
            audiences.push(Arc::new(Audience { id: id.value.into(), measures, relations }));
        }
        section.finish();
    }
    audiences
}

/// Who may release what another proposed: staff ids as actors carry them.
fn signers(section: &Section) -> Arc<[String]> {
    let mut signers: Vec<String> = Vec::new();
    for at in section.texts("signers") {
        let staff_id = at.value.trim();
        if Actor::parse(staff_id, "signer").is_err() {
            at.fault(section.reader, "is no staff id", "write 1 to 64 characters, as the actor of a call carries it");
        } else if signers.iter().any(|known| known == staff_id) {
            at.fault(section.reader, format!("`{staff_id}` stands twice"), "keep one");
        } else {
            signers.push(staff_id.to_owned());
        }
    }
    signers.into()
}

/// The courts in which nobody may release a proposal.
fn without_signers(courts: &[Court]) -> impl Iterator<Item = Fault> {
    let without = courts.iter().enumerate().filter(|(_, court)| court.signers().is_empty());
    without.map(|(index, court)| Fault {
        file: POLICY_FILE.to_owned(),
        line: None,
        column: None,
        key: format!("court[{index}].signers"),
        problem: format!("is empty: with release = \"two\" nobody can release what `{}` proposes", court.id()),
        fix: "list the staff ids of its authorised signers".to_owned(),
    })
}

fn is_above_itself(courts: &Courts, index: usize) -> bool {
    let start = courts.all[index].id();
    let mut next = courts.all[index].above();
    // A chain longer than there are courts has come round elsewhere; that round is told where it closes.
    for _ in 0..courts.all.len() {
        match next {
            Some(id) if id == start => return true,
            Some(id) => next = courts.get(id).and_then(Court::above),
            None => return false,
        }
    }
    false
}

fn limits(root: &Section, catalogue: &Catalogue) -> Vec<Option<u64>> {
    let mut limits = vec![None; catalogue.measures().len()];
    let Some(section) = root.section("limits") else { return limits };
    for (at, fen) in section.counts() {
        let Some(row) = measure(root.reader, &at, catalogue) else { continue };
        if row.condition != Condition::AmountRequired {
            let problem = format!("`{}` has no amount to limit", at.value);
            at.fault(root.reader, problem, "limits are for measures with the condition amount_required");
        } else if fen > MAX_LIMIT_FEN {
            at.fault(root.reader, "is out of range", format!("write fen, at most {MAX_LIMIT_FEN}"));
        } else {
            limits[row.id.index()] = Some(fen);
        }
    }
    limits
}

fn grounds(root: &Section) -> Grounds {
    let mut grounds = Grounds::shipped();
    let Some(section) = root.section("grounds") else { return grounds };
    for (at, number) in section.counts() {
        match u8::try_from(number).ok().and_then(Ground::from_number) {
            Some(ground) => grounds.set(at.value, ground),
            None => at.fault(root.reader, "is no ground", "write 1 to 6 (法释〔2017〕7号 art. 1)"),
        }
    }
    grounds
}
