//! Walks a TOML document key by key, keeps every fault with its place, and goes on.
//!
//! A section knows the keys that were asked of it; what is left over at its end is a fault, with the nearest known key.

use std::cell::RefCell;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::fault::{Fault, Faults, choose};
use crate::time::Day;

/// A file being read, and what was found wrong with it.
pub(crate) struct Reader<'t> {
    file: &'static str,
    text: &'t str,
    /// Where its lines begin.
    lines: Vec<usize>,
    faults: RefCell<Faults>,
}

impl<'t> Reader<'t> {
    pub(crate) fn new(file: &'static str, text: &'t str) -> Reader<'t> {
        let next_lines = text.match_indices('\n').map(|(newline, _)| newline + 1);
        Reader { file, text, lines: std::iter::once(0).chain(next_lines).collect(), faults: RefCell::default() }
    }

    /// The document, as far as it is TOML. Syntax faults are kept.
    pub(crate) fn document(&self) -> Spanned<DeTable<'t>> {
        let (document, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            self.fault(error.span().unwrap_or(0..0), "syntax", error.message(), "write TOML 1.0 (https://toml.io)");
        }
        document
    }

    pub(crate) fn fault(&self, at: Range<usize>, key: &str, problem: impl Into<String>, fix: impl Into<String>) {
        let (line, column) = self.place(at.start);
        self.faults.borrow_mut().push(Fault {
            file: self.file.to_owned(),
            line: Some(line),
            column: Some(column),
            key: key.to_owned(),
            problem: problem.into(),
            fix: fix.into(),
        });
    }

    /// Line and column of a byte, from 1.
    pub(crate) fn place(&self, byte: usize) -> (usize, usize) {
        let before = self.text.get(..byte).unwrap_or(self.text);
        let line = self.lines.partition_point(|start| *start <= before.len());
        (line, before[self.lines[line - 1]..].chars().count() + 1)
    }

    pub(crate) fn is_sound(&self) -> bool {
        self.faults.borrow().is_empty()
    }

    pub(crate) fn finish(self) -> Faults {
        self.faults.into_inner()
    }
}

/// A value with its place and key path.
#[derive(Clone, Debug)]
pub(crate) struct At<T> {
    pub(crate) value: T,
    pub(crate) span: Range<usize>,
    pub(crate) key: String,
}

impl<T> At<T> {
    pub(crate) fn fault(&self, reader: &Reader, problem: impl Into<String>, fix: impl Into<String>) {
        reader.fault(self.span.clone(), &self.key, problem, fix);
    }
}

/// One table of the document.
pub(crate) struct Section<'d, 't> {
    pub(crate) reader: &'d Reader<'t>,
    pub(crate) path: String,
    pub(crate) span: Range<usize>,
    table: &'d DeTable<'t>,
    asked: RefCell<Vec<&'static str>>,
}

impl<'d, 't> Section<'d, 't> {
    pub(crate) fn root(reader: &'d Reader<'t>, document: &'d Spanned<DeTable<'t>>) -> Section<'d, 't> {
        Section::new(reader, String::new(), document.span(), document.get_ref())
    }

    fn new(reader: &'d Reader<'t>, path: String, span: Range<usize>, table: &'d DeTable<'t>) -> Section<'d, 't> {
        Section { reader, path, span, table, asked: RefCell::default() }
    }

    pub(crate) fn key(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn value(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'t>>> {
        self.asked.borrow_mut().push(key);
        self.table.iter().find(|(name, _)| name.get_ref() == key).map(|(_, value)| value)
    }

    /// Tells that a key is missing.
    pub(crate) fn missing(&self, key: &str, fix: impl Into<String>) {
        self.reader.fault(self.span.clone(), &self.key(key), "is missing", fix);
    }

    fn wrong_type(&self, key: &str, value: &Spanned<DeValue>, expected: &str) {
        let problem = format!("is a {}, not {expected}", value.get_ref().type_str());
        self.reader.fault(value.span(), &self.key(key), problem, format!("write {expected}"));
    }

    /// A string, without surrounding white space; an empty one is a fault.
    pub(crate) fn text(&self, key: &'static str) -> Option<At<&'d str>> {
        let value = self.value(key)?;
        let Some(text) = value.get_ref().as_str() else {
            self.wrong_type(key, value, "a text in quotes");
            return None;
        };
        let at = At { value: text.trim(), span: value.span(), key: self.key(key) };
        if at.value.is_empty() {
            at.fault(self.reader, "is empty", "fill it in, or leave the key out");
            return None;
        }
        Some(at)
    }

    /// A string that must be there.
    pub(crate) fn required_text(&self, key: &'static str, fix: &str) -> Option<At<&'d str>> {
        if !self.has(key) {
            self.missing(key, fix);
        }
        self.text(key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.table.iter().any(|(name, _)| name.get_ref() == key)
    }

    /// A whole number of `bounds`.
    pub(crate) fn count(&self, key: &'static str, bounds: std::ops::RangeInclusive<u64>) -> Option<u64> {
        let value = self.value(key)?;
        let number = integer(value.get_ref());
        if value.get_ref().as_integer().is_none() {
            self.wrong_type(key, value, "a whole number");
        } else if !number.is_some_and(|number| bounds.contains(&number)) {
            let fix = format!("write a number from {} to {}", bounds.start(), bounds.end());
            self.reader.fault(value.span(), &self.key(key), "is out of range", fix);
        }
        number.filter(|number| bounds.contains(number))
    }

    pub(crate) fn required_count(
        &self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<u64>,
        fix: &str,
    ) -> Option<u64> {
        if !self.has(key) {
            self.missing(key, fix);
        }
        self.count(key, bounds)
    }

    pub(crate) fn flag(&self, key: &'static str) -> Option<At<bool>> {
        let value = self.value(key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(key, value, "true or false");
        }
        flag.map(|value_of| At { value: value_of, span: value.span(), key: self.key(key) })
    }

    /// A day, as a TOML date or a text.
    pub(crate) fn day(&self, key: &'static str) -> Option<At<Day>> {
        let value = self.value(key)?;
        let text = match value.get_ref() {
            DeValue::Datetime(datetime) => datetime.to_string(),
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(_) | DeValue::Float(_) | DeValue::Boolean(_) | DeValue::Array(_) | DeValue::Table(_) => {
                self.wrong_type(key, value, "a day such as 2027-12-31");
                return None;
            }
        };
        let Ok(day) = Day::parse(&text) else {
            self.reader.fault(value.span(), &self.key(key), "is no day", "write a day such as 2027-12-31");
            return None;
        };
        Some(At { value: day, span: value.span(), key: self.key(key) })
    }

    /// Tells a fault of the table as a whole.
    pub(crate) fn fault(&self, problem: impl Into<String>, fix: impl Into<String>) {
        self.reader.fault(self.span.clone(), &self.path, problem, fix);
    }

    /// Whether the key holds a text.
    pub(crate) fn is_text(&self, key: &str) -> bool {
        self.table.iter().any(|(name, value)| name.get_ref() == key && value.get_ref().as_str().is_some())
    }

    /// A list of days; empty if the key is absent.
    pub(crate) fn days(&self, key: &'static str) -> Vec<At<Day>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of days");
            return Vec::new();
        };
        let mut days = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let key = format!("{}[{index}]", self.key(key));
            match element.get_ref().as_datetime().map(|day| Day::parse(&day.to_string())) {
                Some(Ok(day)) => days.push(At { value: day, span: element.span(), key }),
                Some(Err(_)) | None => {
                    self.reader.fault(element.span(), &key, "is no day", "write a day such as 2027-12-31");
                }
            }
        }
        days
    }

    /// Every key with its table, in the order of the file: for tables whose keys are data.
    pub(crate) fn tables(self) -> Vec<(String, Section<'d, 't>)> {
        let mut tables = Vec::new();
        for (name, value) in self.table.iter() {
            let key = self.key(name.get_ref());
            match value.get_ref().as_table() {
                Some(table) => {
                    let section = Section::new(self.reader, key, value.span(), table);
                    tables.push((value.span().start, name.get_ref().to_string(), section));
                }
                None => self.reader.fault(value.span(), &key, "is no table", format!("write [{key}]")),
            }
        }
        // The parser keeps keys by name; what inherits stands below what it inherits from.
        tables.sort_by_key(|(start, ..)| *start);
        tables.into_iter().map(|(_, name, section)| (name, section)).collect()
    }

    /// A list of strings; empty if the key is absent.
    pub(crate) fn texts(&self, key: &'static str) -> Vec<At<&'d str>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of texts");
            return Vec::new();
        };
        let mut texts = Vec::new();
        for (index, element) in array.iter().enumerate() {
            match element.get_ref().as_str() {
                Some(text) => {
                    texts.push(At { value: text, span: element.span(), key: format!("{}[{index}]", self.key(key)) });
                }
                None => self.wrong_type(key, element, "a text in quotes"),
            }
        }
        texts
    }

    /// A list of names of a closed set, without duplicates.
    pub(crate) fn names<T: Copy>(&self, key: &'static str, all: &[T], text: fn(T) -> &'static str) -> Vec<At<T>> {
        let mut names: Vec<At<T>> = Vec::new();
        for at in self.texts(key) {
            match one_of(self.reader, &at, all, text) {
                Some(_) if names.iter().any(|name| text(name.value) == at.value) => {
                    at.fault(self.reader, format!("`{}` stands twice", at.value), "keep one");
                }
                Some(value) => names.push(At { value, span: at.span, key: at.key }),
                None => {}
            }
        }
        names
    }

    /// The tables of `[[key]]`.
    pub(crate) fn sections(&self, key: &'static str) -> Vec<Section<'d, 't>> {
        let Some(value) = self.value(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            self.wrong_type(key, value, "a list of tables");
            return Vec::new();
        };
        let mut sections = Vec::new();
        for (index, element) in array.iter().enumerate() {
            let path = format!("{}[{index}]", self.key(key));
            match element.get_ref().as_table() {
                Some(table) => sections.push(Section::new(self.reader, path, element.span(), table)),
                None => self.wrong_type(key, element, "a table"),
            }
        }
        sections
    }

    /// The table `[key]`.
    pub(crate) fn section(&self, key: &'static str) -> Option<Section<'d, 't>> {
        let value = self.value(key)?;
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(self.reader, self.key(key), value.span(), table)),
            None => {
                self.wrong_type(key, value, "a table");
                None
            }
        }
    }

    /// Every key with its whole number: for tables whose keys are data.
    pub(crate) fn counts(&self) -> Vec<(At<&'d str>, u64)> {
        let mut counts = Vec::new();
        for (name, value) in self.table.iter() {
            let key = self.key(&format!("\"{}\"", name.get_ref()));
            match integer(value.get_ref()) {
                Some(number) => counts.push((At { value: &**name.get_ref(), span: name.span(), key }, number)),
                None => {
                    self.reader.fault(value.span(), &key, "is no whole number of at least 0", "write a whole number")
                }
            }
        }
        counts
    }

    /// Tells the keys that nothing asked for.
    pub(crate) fn finish(self) {
        let asked = self.asked.borrow();
        for (name, _) in self.table.iter().filter(|(name, _)| !asked.iter().any(|key| name.get_ref() == key)) {
            let problem = "is not a key of this table";
            self.reader.fault(
                name.span(),
                &self.key(name.get_ref()),
                problem,
                choose(name.get_ref(), asked.iter().copied()),
            );
        }
    }
}

fn integer(value: &DeValue) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(&integer.as_str().replace('_', ""), integer.radix()).ok()
}

/// The value of a closed set that a text names.
pub(crate) fn one_of<T: Copy>(reader: &Reader, at: &At<&str>, all: &[T], text: fn(T) -> &'static str) -> Option<T> {
    let found = all.iter().copied().find(|value| text(*value) == at.value);
    if found.is_none() {
        let fix = choose(at.value, all.iter().map(|value| text(*value)));
        at.fault(reader, format!("`{}` is not known", at.value), fix);
    }
    found
}
