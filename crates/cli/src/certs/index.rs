//! `index.tsv`: the register of what a CA issued, and the one place that says what is revoked.
//!
//! Tab-separated, so that a person can read it and `cut` can too. The first line carries the format and the number of the
//! last revocation list; the second the column names.

use jiff::Timestamp;

const FORMAT: &str = "#xinhub-certs 1";
const COLUMNS: &str = "serial\tkind\tname\tnot_after\trevoked_at";
const NOT_REVOKED: &str = "-";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Index {
    /// Of the last revocation list signed; they only grow (RFC 5280 §5.2.3).
    pub(super) crl_number: u64,
    pub(super) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Lower-case hex.
    pub(super) serial: String,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) not_after: Timestamp,
    pub(super) revoked_at: Option<Timestamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Server,
    Client,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
        }
    }
}

impl Index {
    /// # Errors
    /// The number of the first line, from 1, that isn't as written by [`Self::to_text`].
    pub(super) fn parse(text: &str) -> Result<Self, usize> {
        let mut lines = text.lines().enumerate().map(|(index, line)| (index + 1, line));
        let (_, head) = lines.next().ok_or(1_usize)?;
        let (format, number) = head.split_once("\tcrl_number=").ok_or(1_usize)?;
        if format != FORMAT {
            return Err(1);
        }
        let crl_number = number.parse().map_err(|_| 1_usize)?;
        if lines.next().is_none_or(|(_, line)| line != COLUMNS) {
            return Err(2);
        }
        let entries = lines.map(|(number, line)| Entry::parse(line).ok_or(number)).collect::<Result<_, _>>()?;
        Ok(Self { crl_number, entries })
    }

    pub(super) fn to_text(&self) -> String {
        let mut text = format!("{FORMAT}\tcrl_number={}\n{COLUMNS}\n", self.crl_number);
        for entry in &self.entries {
            let Entry { serial, kind, name, not_after, revoked_at } = entry;
            let revoked_at = revoked_at.map_or_else(|| NOT_REVOKED.to_owned(), |at| at.to_string());
            text.push_str(&format!("{serial}\t{}\t{name}\t{not_after}\t{revoked_at}\n", kind.as_str()));
        }
        text
    }
}

impl Entry {
    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split('\t').collect();
        let [serial, kind, name, not_after, revoked_at] = fields[..] else { return None };
        let kind = match kind {
            "server" => Kind::Server,
            "client" => Kind::Client,
            _ => return None,
        };
        let revoked_at = if revoked_at == NOT_REVOKED { None } else { Some(revoked_at.parse().ok()?) };
        super::names::serial_bytes(serial)?;
        Some(Self {
            serial: serial.to_owned(),
            kind,
            name: name.to_owned(),
            not_after: not_after.parse().ok()?,
            revoked_at,
        })
    }
}
