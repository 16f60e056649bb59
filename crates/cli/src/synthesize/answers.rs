//! What lookups of a synthetic list should find, in a file that `xinhub batch` takes as it is.

use std::io::{self, Write};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::file::push_line;
use super::layout::ANSWER_COLUMNS;
use super::row::Drawn;
use super::subject::{self, Person, Subject};

/// After this many rows comes one person who is on no list.
const ROWS_PER_UNLISTED: u64 = 10;

/// A file of answers that is being written: plain CSV, always UTF-8.
pub(super) struct Answers<W> {
    out: W,
    rows: u64,
    line: String,
}

impl<W: Write> Answers<W> {
    pub(super) fn start(out: W) -> io::Result<Self> {
        let mut answers = Self { out, rows: 0, line: String::new() };
        answers.line(ANSWER_COLUMNS)?;
        Ok(answers)
    }

    /// The debtor of a row and those related to it.
    pub(super) fn write(&mut self, seed: u64, at: u64, drawn: &Drawn) -> io::Result<()> {
        self.subject(&drawn.subject, "debtor")?;
        for related in &drawn.related {
            self.subject(&related.person, related.role)?;
        }
        if at.is_multiple_of(ROWS_PER_UNLISTED) {
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ at);
            self.subject(&subject::person(seed, Person::Unlisted(at), &mut rng), "none")?;
        }
        Ok(())
    }

    fn subject(&mut self, subject: &Subject, expected: &str) -> io::Result<()> {
        self.rows += 1;
        self.line([subject.kind.code(), &subject.number, &subject.name, expected])
    }

    fn line<'a>(&mut self, fields: impl IntoIterator<Item = &'a str>) -> io::Result<()> {
        self.line.clear();
        push_line(&mut self.line, fields);
        self.out.write_all(self.line.as_bytes())
    }

    pub(super) fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.rows)
    }
}
