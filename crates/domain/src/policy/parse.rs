//! From the text of `policy.toml` to a checked policy.

use std::collections::HashMap;
use std::sync::Arc;

use super::client::{Class, Client, Grant, Quota, Reach, ReachSet};
use super::grounds::Grounds;
use super::read::{At, Reader, Section, one_of};
use super::{Court, POLICY_FILE, Policy, Release};
use crate::decision::{Field, FieldMask};
use crate::fault::{Fault, Faults, choose};
use crate::listing::{Ground, MAX_GRACE_DAYS};
use crate::measure::{Catalogue, Condition, Measure};

/// The only format there is.
const FORMAT: u64 = 1;
/// What one client may be given; above it a slip of the pen is likelier than a need.
const MAX_RATE_PER_SECOND: u64 = 1_000_000;
const MAX_DAILY_QUOTA: u64 = 100_000_000_000;
/// A hundred million yuan.
const MAX_LIMIT_FEN: u64 = 10_000_000_000;

pub(super) fn policy(text: &str, catalogue: &Catalogue) -> Result<Policy, Faults> {
    let reader = Reader::new(POLICY_FILE, text);
    let document = reader.document();
    let policy = if reader.is_sound() {
        read(Section::root(&reader, &document), catalogue)
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

fn read(root: Section, catalogue: &Catalogue) -> Option<Policy> {
    let mut catalogue = catalogue.clone();
    root.required_count("format", FORMAT..=FORMAT, "write format = 1");
    let release = root
        .required_text("release", "write release = \"one\" (one actor lists) or \"two\" (another approves)")
        .and_then(|at| one_of(root.reader, &at, Release::ALL, Release::as_str));
    for section in root.sections("enable") {
        enable(section, &mut catalogue);
    }
    let courts = courts(&root);
    let mut warnings = Vec::new();
    let mut clients: HashMap<Arc<str>, Arc<Client>> = HashMap::new();
    for section in root.sections("client") {
        let mut reader =
            ClientReader { section: &section, catalogue: &catalogue, courts: &courts, warnings: &mut warnings };
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
    root.finish();
    Some(Policy {
        catalogue: Arc::new(catalogue),
        release: release?,
        courts,
        clients,
        limits_fen,
        grace_max_days: grace_max_days.unwrap_or(MAX_GRACE_DAYS),
        grounds,
        warnings,
    })
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

fn courts(root: &Section) -> Vec<Court> {
    let mut courts: Vec<Court> = Vec::new();
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
        if let (Some(id), Some(name)) = (&id, &name) {
            if courts.iter().any(|court| court.id() == id.value) {
                id.fault(
                    section.reader,
                    format!("court `{}` stands twice", id.value),
                    "give each court an id of its own",
                );
            }
            if courts.iter().any(|court| court.name_zh() == name.value) {
                name.fault(
                    section.reader,
                    "is another court's name too",
                    "import files tell courts apart by name: make it whole",
                );
            }
            aboves.extend(above.map(|above| (courts.len(), above)));
            courts.push(Court {
                id: id.value.into(),
                name_zh: name.value.to_owned(),
                region: region.map(|at| at.value.to_owned()),
                above: None,
            });
        }
        section.finish();
    }
    for (index, above) in aboves {
        if courts.iter().any(|court| court.id() == above.value) {
            courts[index].above = Some(above.value.into());
            if is_above_itself(&courts, index) {
                courts[index].above = None;
                above.fault(
                    root.reader,
                    "makes the court stand above itself",
                    "name the court that hears its reconsiderations",
                );
            }
        } else {
            let fix = choose(above.value, courts.iter().map(Court::id));
            above.fault(root.reader, format!("court `{}` is not in this file", above.value), fix);
        }
    }
    courts
}

fn is_above_itself(courts: &[Court], index: usize) -> bool {
    let start = courts[index].id();
    let mut next = courts[index].above();
    // A chain longer than there are courts has come round elsewhere; that round is told where it closes.
    for _ in 0..courts.len() {
        match next {
            Some(id) if id == start => return true,
            Some(id) => next = courts.iter().find(|court| court.id() == id).and_then(Court::above),
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

struct ClientReader<'a, 'd, 't> {
    section: &'a Section<'d, 't>,
    catalogue: &'a Catalogue,
    courts: &'a [Court],
    warnings: &'a mut Vec<Fault>,
}

impl<'d, 't> ClientReader<'_, 'd, 't> {
    fn reader(&self) -> &'d Reader<'t> {
        self.section.reader
    }

    /// The client, or `None` with at least one fault told.
    fn client(&mut self) -> Option<Client> {
        let section = self.section;
        let id = id(section);
        let class = section
            .required_text("class", "say what kind of asker it is, such as class = \"bank\"")
            .and_then(|at| one_of(section.reader, &at, Class::ALL, Class::as_str));
        let legal_basis =
            section.required_text("legal_basis", "name the law and article: no grant without a legal basis");
        if !section.has("expires") {
            section.missing("expires", "write the grant's last day, such as expires = 2027-12-31");
        }
        let expires = section.day("expires");
        let impact_assessment = section.text("impact_assessment");
        let quota = self.quota();
        // What belongs together is judged by class; without one, the keys are at least known.
        let court = self.court(class);
        let unit = self.unit(class);
        let reach = self.reach(class);
        let fields = self.fields(class, reach);
        let grants = self.grants(class, unit.as_deref());
        let exempt = self.crl_expiry_exempt(class);
        let audit_class = section.text("audit_class");
        if let Some(at) = audit_class.as_ref().filter(|at| !is_id(&at.value.replace('_', "-"))) {
            at.fault(section.reader, "is no audit class", "write lower-case letters, digits, hyphens and underscores");
        }
        if impact_assessment.is_none() && !section.has("impact_assessment") && !grants.is_empty() {
            section
                .missing("impact_assessment", "write the number of the impact assessment (个人信息保护法 arts. 55–56)");
        }
        if reach.contains(Reach::Online) && grants.is_empty() && !section.has("measures") {
            section.missing("measures", "list the measures it may ask for, or drop the reach `online`");
        }
        let class = class?;
        Some(Client {
            id: id?.value.into(),
            class,
            court,
            unit,
            legal_basis: legal_basis?.value.to_owned(),
            impact_assessment: impact_assessment.map(|at| at.value.to_owned()),
            expires: expires?.value,
            reach,
            grants,
            fields,
            quota: quota?,
            crl_expiry_exempt: exempt,
            audit_class: audit_class.map_or_else(|| class.as_str().to_owned(), |at| at.value.to_owned()),
            line: section.reader.place(section.span.start).0,
            key: section.path.clone(),
        })
    }

    fn quota(&self) -> Option<Quota> {
        let section = self.section;
        let fix = "write checks per second, such as rate_per_second = 100";
        let rate = section.required_count("rate_per_second", 1..=MAX_RATE_PER_SECOND, fix);
        let burst = section.count("burst", 1..=MAX_RATE_PER_SECOND);
        let fix = "write checks per day, such as daily_quota = 1_000_000";
        let daily = section.required_count("daily_quota", 1..=MAX_DAILY_QUOTA, fix);
        let rate_per_second = u32::try_from(rate?).ok()?;
        // Without a burst of its own, a second's worth at once.
        let burst = burst.and_then(|burst| u32::try_from(burst).ok()).unwrap_or(rate_per_second);
        Some(Quota { rate_per_second, burst, daily: daily? })
    }

    fn court(&self, class: Option<Class>) -> Option<Arc<str>> {
        let section = self.section;
        let is_court = class == Some(Class::Court);
        let Some(at) = section.text("court") else {
            if is_court && !section.has("court") {
                section.missing("court", "name the court it acts for, one of [[court]]");
            }
            return None;
        };
        if class.is_some() && !is_court {
            at.fault(
                self.reader(),
                "is for clients of class court",
                "take it out; a supervising unit goes under `unit`",
            );
            return None;
        }
        if !self.courts.iter().any(|court| court.id() == at.value) {
            let fix = choose(at.value, self.courts.iter().map(Court::id));
            at.fault(self.reader(), format!("court `{}` is not in this file", at.value), fix);
        }
        Some(at.value.into())
    }

    fn unit(&self, class: Option<Class>) -> Option<Arc<str>> {
        let section = self.section;
        let Some(at) = section.text("unit") else {
            if class.is_some_and(Class::needs_unit) && !section.has("unit") {
                section.missing("unit", "name the unit that supervises it, a code of units.tsv");
            }
            return None;
        };
        if self.catalogue.unit(at.value).is_none() {
            let fix = match crate::fault::nearest(at.value, self.catalogue.units().iter().map(|unit| &*unit.code)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => "write a code of units.tsv".to_owned(),
            };
            at.fault(self.reader(), format!("unit `{}` is not in the catalogue", at.value), fix);
        }
        Some(at.value.into())
    }

    fn reach(&self, class: Option<Class>) -> ReachSet {
        let reaches = self.section.names("reach", Reach::ALL, Reach::as_str);
        for at in &reaches {
            match class {
                Some(class) if !class.asks() => {
                    at.fault(self.reader(), format!("a client of class {class} asks about nobody"), "take `reach` out");
                }
                Some(class) if class.is_one_bit() && matches!(at.value, Reach::Detail | Reach::Exact) => {
                    let problem = format!("a client of class {class} gets one bit, never `{}`", at.value);
                    at.fault(self.reader(), problem, "grant `online`, and `filter` if it needs a replica");
                }
                Some(_) | None => {}
            }
        }
        if reaches.is_empty() && class.is_some_and(Class::needs_unit) && !self.section.has("reach") {
            self.section.missing("reach", "say how it may ask, such as reach = [\"online\"]");
        }
        reaches.into_iter().map(|at| at.value).collect()
    }

    fn fields(&self, class: Option<Class>, reach: ReachSet) -> FieldMask {
        let fields = self.section.names("fields", Field::ALL, Field::as_str);
        for at in &fields {
            match class {
                Some(class) if class.is_one_bit() => {
                    at.fault(self.reader(), format!("a client of class {class} gets one bit"), "take `fields` out");
                }
                Some(class) if !class.asks() => {
                    at.fault(
                        self.reader(),
                        format!("a client of class {class} asks about nobody"),
                        "take `fields` out",
                    );
                }
                Some(class) if at.value == Field::Detail && class != Class::Court && !reach.contains(Reach::Detail) => {
                    let problem = "numbers of listings are of no use without the reach `detail`";
                    at.fault(self.reader(), problem, "grant the reach, or take the field out");
                }
                Some(_) | None => {}
            }
        }
        fields.into_iter().map(|at| at.value).collect()
    }

    fn crl_expiry_exempt(&self, class: Option<Class>) -> bool {
        let Some(at) = self.section.flag("crl_expiry_exempt") else { return false };
        if at.value && class.is_some_and(|class| class != Class::Court) {
            at.fault(self.reader(), "is for courts alone: they may still lift", "take it out");
        }
        at.value
    }

    fn grants(&mut self, class: Option<Class>, unit: Option<&str>) -> Vec<Grant> {
        let sections = self.section.sections("measures");
        if let (Some(class), Some(first)) = (class.filter(|class| !class.asks()), sections.first()) {
            let problem = format!("a client of class {class} asks about nobody");
            self.reader().fault(first.span.clone(), &self.section.key("measures"), problem, "take `measures` out");
        }
        let mut grants: Vec<Grant> = Vec::new();
        for section in sections {
            if let Some(grant) = self.grant(&section, unit, &grants) {
                grants.push(grant);
            }
            section.finish();
        }
        grants
    }

    fn grant(&mut self, section: &Section, unit: Option<&str>, before: &[Grant]) -> Option<Grant> {
        let items = section.texts("items");
        let at = section.required_text("code", "name the measure, such as code = \"credit.lending\"")?;
        let row = measure(section.reader, &at, self.catalogue)?;
        if !row.is_askable() {
            let problem = format!("`{}` is {}: no lookup, so it can't be granted", at.value, row.effect);
            at.fault(section.reader, problem, "take it out");
        } else if !row.enabled {
            let fix = "switch it on with [[enable]] and its legal basis, or take it out";
            at.fault(section.reader, format!("`{}` is switched off", at.value), fix);
        }
        if before.iter().any(|grant| grant.measure == row.id) {
            at.fault(section.reader, format!("`{}` is granted twice", at.value), "put its items into one entry");
        }
        if let Some(unit) = unit.filter(|unit| !row.units.iter().any(|responsible| &**responsible == *unit)) {
            self.warnings.push(Fault {
                file: POLICY_FILE.to_owned(),
                line: Some(section.reader.place(at.span.start).0),
                column: None,
                key: at.key.clone(),
                problem: format!("`{unit}` is not among the units responsible for `{}`", at.value),
                fix: format!("check that the purpose is this client's; responsible: {}", row.units.join(", ")),
            });
        }
        Some(Grant { measure: row.id, items: item_bits(section, row, items) })
    }
}

fn item_bits(section: &Section, row: &Measure, items: Vec<At<&str>>) -> u32 {
    if row.items.is_empty() {
        if let Some(first) = items.first() {
            first.fault(section.reader, format!("`{}` has no items", row.code), "take `items` out");
        }
        return 0;
    }
    if items.is_empty() {
        let fix = format!("list those of {} that it may ask for", row.items.join(", "));
        section.missing("items", fix);
    }
    let mut bits = 0_u32;
    for at in items {
        match row.item(at.value) {
            Some(item) => bits |= 1 << item.index(),
            None => {
                let fix = choose(at.value, row.items.iter().map(|item| &**item));
                at.fault(section.reader, format!("`{}` has no item `{}`", row.code, at.value), fix);
            }
        }
    }
    bits
}
