//! One `[[client]]`: a grant, judged by its class.

use std::sync::Arc;

use super::super::client::{Class, Client, Grant, Quota, Reach, ReachSet};
use super::super::read::{At, Reader, Section, one_of};
use super::super::{Audience, Court, Courts, POLICY_FILE};
use super::{id, is_id, measure};
use crate::decision::{Field, FieldMask};
use crate::fault::{Fault, choose};
use crate::measure::{Catalogue, Measure, MeasureId};

/// What one client may be given; above it a slip of the pen is likelier than a need.
const MAX_RATE_PER_SECOND: u64 = 10_000_000;
const MAX_DAILY_QUOTA: u64 = 100_000_000_000;

pub(super) struct ClientReader<'a, 'd, 't> {
    pub(super) section: &'a Section<'d, 't>,
    pub(super) catalogue: &'a Catalogue,
    pub(super) courts: &'a Courts,
    pub(super) audiences: &'a [Arc<Audience>],
    pub(super) warnings: &'a mut Vec<Fault>,
}

impl<'d, 't> ClientReader<'_, 'd, 't> {
    fn reader(&self) -> &'d Reader<'t> {
        self.section.reader
    }

    /// The client, or `None` with at least one fault told.
    pub(super) fn client(&mut self) -> Option<Client> {
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
        let audience = self.audience(class, reach, &grants);
        let exempt = self.crl_expiry_exempt(class);
        let acts_for_subjects = self.acts_for_subjects(class);
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
            audience,
            grants,
            fields,
            quota: quota?,
            crl_expiry_exempt: exempt,
            acts_for_subjects,
            audit_class: audit_class.map_or_else(|| class.as_str(), |at| at.value).into(),
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
        if self.courts.get(at.value).is_none() {
            let fix = choose(at.value, self.courts.all.iter().map(Court::id));
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

    /// The audience of a client that keeps a replica. A replica answers all of its audience's measures, so all are granted.
    fn audience(&self, class: Option<Class>, reach: ReachSet, grants: &[Grant]) -> Option<Arc<str>> {
        let section = self.section;
        let replica = reach.contains(Reach::Filter) || reach.contains(Reach::Exact);
        let Some(at) = section.text("audience") else {
            if replica && !section.has("audience") {
                section.missing("audience", "name the audience whose replica it keeps, one of [[audience]]");
            }
            return None;
        };
        if class == Some(Class::Court) || (class.is_some() && !replica) {
            let problem = "is for clients that keep a replica";
            at.fault(self.reader(), problem, "take it out, or grant the reach `filter` or `exact`");
        }
        let Some(audience) = self.audiences.iter().find(|audience| audience.id() == at.value) else {
            let fix = choose(at.value, self.audiences.iter().map(|audience| audience.id()));
            at.fault(self.reader(), format!("audience `{}` is not in this file", at.value), fix);
            return None;
        };
        let granted = |measure: &MeasureId| grants.iter().any(|grant| grant.measure == *measure);
        let missing = audience.measures().iter().filter(|measure| !granted(measure));
        let missing: Vec<&str> =
            missing.filter_map(|measure| self.catalogue.by_id(*measure)).map(|row| &*row.code).collect();
        if !missing.is_empty() {
            let problem = format!("has measures that are not granted to this client: {}", missing.join(", "));
            at.fault(self.reader(), problem, "grant them, or name an audience that asks for less");
        }
        Some(Arc::clone(&audience.id))
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

    fn acts_for_subjects(&self, class: Option<Class>) -> bool {
        let Some(at) = self.section.flag("acts_for_subjects") else { return false };
        if at.value && class.is_some_and(|class| class != Class::Unit) {
            let problem = "is for units: they check an identity and ask for its owner; courts do by right";
            at.fault(self.reader(), problem, "take it out");
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
