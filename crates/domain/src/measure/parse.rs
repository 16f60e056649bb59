//! Reads the catalogue's two tables. Every fault is kept, with its line and column, and reading goes on.

use std::collections::HashMap;
use std::sync::Arc;

use super::{
    Capacity, Catalogue, Condition, Effect, MAX_ITEMS, Measure, MeasureId, OnUnknown, Procedure, Relation, RelationSet,
    Restricted, Rows, SubjectSort, Unit,
};
use crate::fault::{Fault, Faults, choose};

const MEASURES_FILE: &str = "measures.tsv";
const UNITS_FILE: &str = "units.tsv";
const MEASURE_COLUMNS: [&str; 11] = [
    "code",
    "section",
    "title_zh",
    "effect",
    "restricted",
    "also_check",
    "also_effect",
    "condition",
    "on_unknown",
    "enabled",
    "units",
];
const UNIT_COLUMNS: [&str; 2] = ["code", "name_zh"];
/// `MeasureId` is 16 bits wide, and tables are made with one place per measure.
const MAX_MEASURES: usize = 4_096;

pub(super) fn catalogue(measures_tsv: &str, units_tsv: &str) -> Result<Catalogue, Faults> {
    let mut faults = Faults::default();
    let mut units: Vec<Unit> = Vec::new();
    let mut lines = Rows::default();
    for row in rows(UNITS_FILE, &UNIT_COLUMNS, units_tsv, &mut faults) {
        if let Some(unit) = unit(&row, &units, &mut faults) {
            units.push(unit);
            lines.units.push(row.cells.join("\t"));
        }
    }
    let mut measures: Vec<Measure> = Vec::new();
    let mut lines_by_code = HashMap::new();
    for row in rows(MEASURES_FILE, &MEASURE_COLUMNS, measures_tsv, &mut faults) {
        let mut reader = RowReader { row: &row, faults: &mut faults, units: &units };
        let measure = reader.measure(MeasureId(u16::try_from(measures.len()).unwrap_or(u16::MAX)));
        if let Some(first) = lines_by_code.insert(Arc::clone(&measure.code), row.line) {
            reader.fault("code", format!("is the code of line {first} too"), "give each measure a code of its own");
        }
        measures.push(measure);
        lines.measures.push(row.cells.join("\t"));
    }
    if measures.len() > MAX_MEASURES {
        faults.push(Fault {
            file: MEASURES_FILE.to_owned(),
            line: None,
            column: None,
            key: "rows".to_owned(),
            problem: format!("has {} measures, at most {MAX_MEASURES}", measures.len()),
            fix: "drop those that nobody asks for".to_owned(),
        });
    }
    faults.or(()).map(|()| Catalogue::new(measures, units, lines))
}

/// The table of these rows.
pub(super) fn measures_table<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    table(&MEASURE_COLUMNS, rows)
}

/// The table of these rows.
pub(super) fn units_table<'a>(rows: impl Iterator<Item = &'a str>) -> String {
    table(&UNIT_COLUMNS, rows)
}

fn table<'a>(columns: &[&str], rows: impl Iterator<Item = &'a str>) -> String {
    let mut text = columns.join("\t");
    for row in rows {
        text.push('\n');
        text.push_str(row);
    }
    text.push('\n');
    text
}

/// One row: its line and its cells, as many as there are columns.
struct Row<'a> {
    file: &'static str,
    line: usize,
    columns: &'static [&'static str],
    cells: Vec<&'a str>,
}

impl Row<'_> {
    fn cell(&self, column: &str) -> &str {
        let index = self.columns.iter().position(|name| *name == column);
        index.and_then(|index| self.cells.get(index)).copied().unwrap_or_default()
    }

    fn fault(&self, column: &str, problem: String, fix: impl Into<String>) -> Fault {
        Fault {
            file: self.file.to_owned(),
            line: Some(self.line),
            column: self.columns.iter().position(|name| *name == column).map(|index| index + 1),
            key: column.to_owned(),
            problem,
            fix: fix.into(),
        }
    }
}

/// The rows below the header. A wrong header is one fault, and its file is read no further.
fn rows<'a>(file: &'static str, columns: &'static [&'static str], text: &'a str, faults: &mut Faults) -> Vec<Row<'a>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
    let header: Vec<&str> = lines.next().map(|(_, line)| line.split('\t').collect()).unwrap_or_default();
    if header != columns {
        faults.push(Fault {
            file: file.to_owned(),
            line: Some(1),
            column: None,
            key: "header".to_owned(),
            problem: format!("is not the header of this table ({} columns)", columns.len()),
            fix: format!("write, separated by tabs: {}", columns.join(" ")),
        });
        return Vec::new();
    }
    let mut rows = Vec::new();
    for (line, text) in lines.filter(|(_, text)| !text.trim().is_empty()) {
        let row = Row { file, line, columns, cells: text.split('\t').map(str::trim).collect() };
        if row.cells.len() == columns.len() {
            rows.push(row);
            continue;
        }
        let problem = format!("has {} cells, expected {}", row.cells.len(), columns.len());
        faults.push(Fault {
            key: "row".to_owned(),
            ..row.fault("row", problem, "separate cells by one tab, write - for nothing")
        });
    }
    rows
}

fn unit(row: &Row, units: &[Unit], faults: &mut Faults) -> Option<Unit> {
    let code = row.cell("code");
    let before = faults.len();
    if !is_code(code, false) {
        faults.push(row.fault("code", format!("`{code}` is no code"), "write lower-case letters, digits and hyphens"));
    }
    if units.iter().any(|unit| &*unit.code == code) {
        faults.push(row.fault("code", format!("`{code}` stands twice"), "give each unit a code of its own"));
    }
    if is_nothing(row.cell("name_zh")) {
        faults.push(row.fault("name_zh", "is missing".to_owned(), "write the unit's name"));
    }
    (faults.len() == before).then(|| Unit { code: code.into(), name_zh: row.cell("name_zh").to_owned() })
}

fn is_nothing(cell: &str) -> bool {
    cell.is_empty() || cell == "-"
}

/// Lower-case letters, digits, hyphens; in a measure's code dots as well.
fn is_code(text: &str, dots: bool) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || (dots && c == '.');
    (1..=64).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fits)
}

/// Items and facts: lower-case letters, digits and underscores.
fn is_name(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    (1..=64).contains(&text.len()) && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fits)
}

struct RowReader<'a, 'r> {
    row: &'a Row<'r>,
    faults: &'a mut Faults,
    units: &'a [Unit],
}

impl RowReader<'_, '_> {
    fn fault(&mut self, column: &str, problem: impl Into<String>, fix: impl Into<String>) {
        self.faults.push(self.row.fault(column, problem.into(), fix));
    }

    /// The row as a measure. Where a cell can't be read, a stand-in takes its place: the faults keep it from being used.
    fn measure(&mut self, id: MeasureId) -> Measure {
        let code: Arc<str> = self.row.cell("code").into();
        if !is_code(&code, true) {
            self.fault("code", format!("`{code}` is no code"), "write lower-case letters, digits, hyphens and dots");
        }
        for column in ["section", "title_zh"] {
            if is_nothing(self.row.cell(column)) {
                self.fault(column, "is missing", "write what the plan says");
            }
        }
        let effect = self.closed("effect", Effect::ALL, Effect::as_str);
        // An effect that can't be read is one fault; what would follow from it is not told.
        let askable = effect.map(|effect| effect.verdict().is_some());
        let (items, condition) = self.condition(askable);
        let also_check = self.also_check();
        let also_effect = self.also_effect(&also_check);
        Measure {
            id,
            code,
            section: self.row.cell("section").to_owned(),
            title_zh: self.row.cell("title_zh").to_owned(),
            effect: effect.unwrap_or(Effect::NotOffered),
            restricted: self.restricted(askable),
            also_check,
            also_effect,
            items,
            condition,
            on_unknown: self.on_unknown(askable),
            enabled: self.enabled(askable),
            enabled_on: None,
            units: self.responsible_units(),
        }
    }

    /// A cell that holds one value of a closed set.
    fn closed<T: Copy>(&mut self, column: &str, all: &[T], text: fn(T) -> &'static str) -> Option<T> {
        let cell = self.row.cell(column).to_owned();
        self.one_of(column, &cell, all, text)
    }

    fn one_of<T: Copy>(&mut self, column: &str, cell: &str, all: &[T], text: fn(T) -> &'static str) -> Option<T> {
        let found = all.iter().copied().find(|value| text(*value) == cell);
        if found.is_none() {
            let fix = choose(cell, all.iter().map(|value| text(*value)));
            self.fault(column, format!("`{cell}` is not known"), fix);
        }
        found
    }

    fn restricted(&mut self, askable: Option<bool>) -> Restricted {
        let cell = self.row.cell("restricted").to_owned();
        let mut restricted =
            Restricted { relations: RelationSet::EMPTY, sort: SubjectSort::Either, all_enforcement_debtors: false };
        if is_nothing(&cell) {
            if askable == Some(true) {
                self.fault("restricted", "is missing", "name whom the measure catches, such as debtor_person");
            }
            return restricted;
        }
        let (sort, related) = cell.split_once(',').map_or((&*cell, None), |(sort, related)| (sort, Some(related)));
        let listed_sort = sort.strip_prefix("enforcement_").unwrap_or(sort);
        restricted.all_enforcement_debtors = listed_sort != sort;
        if restricted.all_enforcement_debtors && askable == Some(true) {
            self.fault("restricted", "only who is listed can be looked up", "leave out `enforcement_`");
        }
        if let Some(sort) = self.one_of("restricted", listed_sort, SubjectSort::ALL, SubjectSort::as_str) {
            restricted.sort = sort;
        }
        if restricted.all_enforcement_debtors {
            return restricted;
        }
        restricted.relations = RelationSet::DEBTOR;
        for name in related.into_iter().flat_map(|related| related.split(',')) {
            let Some(relation) = self.one_of("restricted", name, &Relation::ALL[1..], Relation::as_str) else {
                continue;
            };
            if restricted.relations.contains(relation) {
                self.fault("restricted", format!("names `{name}` twice"), "keep one");
            }
            restricted.relations = restricted.relations.or(RelationSet::only(relation));
        }
        restricted
    }

    fn also_check(&mut self) -> Vec<Capacity> {
        let cell = self.row.cell("also_check").to_owned();
        let mut capacities = Vec::new();
        for name in cell.split(',').filter(|_| !is_nothing(&cell)) {
            let Some(capacity) = self.one_of("also_check", name, Capacity::ALL, Capacity::as_str) else { continue };
            if capacities.contains(&capacity) {
                self.fault("also_check", format!("names `{name}` twice"), "keep one");
            } else {
                capacities.push(capacity);
            }
        }
        capacities
    }

    fn also_effect(&mut self, also_check: &[Capacity]) -> Option<Effect> {
        match (is_nothing(self.row.cell("also_effect")), is_nothing(self.row.cell("also_check"))) {
            (true, true) => return None,
            (true, false) => {
                self.fault("also_effect", "is missing", "say what an officer's own listing does, such as INFORM");
                return None;
            }
            (false, true) => {
                self.fault("also_effect", "is given, but no officers are looked at", "fill also_check, or write -");
                return None;
            }
            (false, false) => {}
        }
        let effect = self.closed("also_effect", Effect::ALL, Effect::as_str)?;
        if effect.verdict().is_none() {
            self.fault(
                "also_effect",
                format!("{effect} is no effect of a lookup"),
                "write INFORM, REFERENCE or the row's own",
            );
        }
        (!also_check.is_empty()).then_some(effect)
    }

    fn condition(&mut self, askable: Option<bool>) -> (Vec<Arc<str>>, Condition) {
        let cell = self.row.cell("condition").to_owned();
        if is_nothing(&cell) {
            return (Vec::new(), Condition::None);
        }
        let (name, argument) = cell.split_once(':').map_or((&*cell, None), |(name, argument)| (name, Some(argument)));
        let condition = match (name, argument) {
            ("item", Some(items)) => return (self.items(items), Condition::None),
            ("in_post", Some(procedure)) => self
                .one_of("condition", procedure, Procedure::ALL, Procedure::as_str)
                .map_or(Condition::None, Condition::InPost),
            ("recipient", Some(unit)) => {
                self.known_unit("condition", unit);
                Condition::Recipient(unit.into())
            }
            ("court_order", None) => Condition::CourtOrder,
            ("acquired_after_listing", None) => Condition::AcquiredAfterListing,
            ("amount_required", None) => Condition::AmountRequired,
            ("item" | "in_post" | "recipient", None) => {
                self.fault("condition", format!("`{name}` needs a value"), format!("write {name}:VALUE"));
                Condition::None
            }
            (fact, None) if is_name(fact) => Condition::Fact(fact.into()),
            (_, _) => {
                self.fault("condition", format!("`{cell}` is no condition"), "write item:A,B, in_post:PROCEDURE, recipient:UNIT, or a name of lower-case letters and underscores");
                Condition::None
            }
        };
        let off_the_wire = matches!(condition, Condition::CourtOrder | Condition::Recipient(_));
        if askable == Some(true) && off_the_wire {
            self.fault(
                "condition",
                format!("`{cell}` is for what is no lookup"),
                "give a condition that a caller can answer",
            );
        }
        (Vec::new(), condition)
    }

    fn items(&mut self, text: &str) -> Vec<Arc<str>> {
        let mut items: Vec<Arc<str>> = Vec::new();
        for item in text.split(',') {
            if !is_name(item) {
                self.fault(
                    "condition",
                    format!("`{item}` is no item"),
                    "write lower-case letters, digits and underscores",
                );
            } else if items.iter().any(|known| &**known == item) {
                self.fault("condition", format!("names item `{item}` twice"), "keep one");
            } else {
                items.push(item.into());
            }
        }
        if items.len() > MAX_ITEMS {
            self.fault("condition", format!("has {} items, at most {MAX_ITEMS}", items.len()), "split the measure");
        }
        items
    }

    fn on_unknown(&mut self, askable: Option<bool>) -> Option<OnUnknown> {
        if !is_nothing(self.row.cell("on_unknown")) {
            return self.closed("on_unknown", OnUnknown::ALL, OnUnknown::as_str);
        }
        if askable == Some(true) {
            let fix = choose("", OnUnknown::ALL.iter().map(|value| value.as_str()));
            self.fault("on_unknown", "is missing, and the measure can be asked", fix);
        }
        None
    }

    fn enabled(&mut self, askable: Option<bool>) -> bool {
        let enabled = match self.row.cell("enabled") {
            "yes" => true,
            "no" => false,
            _ => {
                self.fault("enabled", "is neither yes nor no", "write yes or no");
                false
            }
        };
        if enabled && askable == Some(false) {
            self.fault("enabled", "is yes, but the effect is no lookup", "write no");
        }
        enabled
    }

    fn responsible_units(&mut self) -> Vec<Arc<str>> {
        let cell = self.row.cell("units").to_owned();
        if is_nothing(&cell) {
            self.fault("units", "is missing", "name the units responsible, separated by commas");
            return Vec::new();
        }
        for unit in cell.split(',') {
            self.known_unit("units", unit);
        }
        cell.split(',').map(Arc::from).collect()
    }

    fn known_unit(&mut self, column: &str, code: &str) {
        if !self.units.iter().any(|unit| &*unit.code == code) {
            let fix = match crate::fault::nearest(code, self.units.iter().map(|unit| &*unit.code)) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("add it to {UNITS_FILE}"),
            };
            self.fault(column, format!("unit `{code}` is not known"), fix);
        }
    }
}
