//! `report`: from the JSON of runs to Markdown and plots, so that no figure is ever copied by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::world::Filled;
use crate::{
    Result, batch, import, instructions, lookup, mixed, plot, process, publish, push, replica, snapshot, start, stream,
};

/// What `--json` writes: what was measured on one world, and where.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) machine: Machine,
    pub(crate) filled: Option<Filled>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) import: Option<import::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) start: Option<start::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lookup: Option<lookup::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stream: Option<stream::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) batch: Option<batch::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instructions: Option<instructions::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) publish: Option<publish::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) snapshot: Option<snapshot::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) replica: Option<replica::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push: Option<push::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mixed: Option<mixed::Figures>,
}

impl Run {
    /// On this machine, on a world that was filled like this.
    pub(crate) fn of(filled: &Filled) -> Result<Self> {
        let machine = Machine::here(process::load_processors())?;
        Ok(Self { machine, filled: Some(filled.clone()), ..Self::default() })
    }

    /// Everything measured, section by section.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        let mut section = |title: &str, body: Option<String>| {
            if let Some(body) = body {
                // Writing to a string can't fail.
                let _ = write!(text, "### {title}\n\n{}\n\n", body.trim_end());
            }
        };
        section("Import", self.filled.as_ref().map(import::filled));
        section("After an import: starts, memory, disk", self.import.as_ref().map(import::text));
        section("Starts, memory, disk", self.start.as_ref().map(start::text));
        section("Checks", self.lookup.as_ref().map(lookup::text));
        section("Checks over a stream", self.stream.as_ref().map(stream::text));
        section("Checks in batches", self.batch.as_ref().map(batch::text));
        section("Instructions", self.instructions.as_ref().map(instructions::text));
        section("Publishing and lifting", self.publish.as_ref().map(publish::text));
        section("Snapshots for replicas", self.snapshot.as_ref().map(snapshot::text));
        section("Replicas", self.replica.as_ref().map(replica::text));
        section("A lift, pushed", self.push.as_ref().map(push::text));
        section("Checks beside everything else", self.mixed.as_ref().map(mixed::text));
        text
    }

    fn rows(&self) -> u64 {
        self.filled.as_ref().map_or(0, |filled| filled.rows)
    }

    fn title(&self) -> String {
        format!("## {} listings\n\n{}", self.rows(), self.machine.text())
    }

    /// Adds what a later run has measured.
    fn add(&mut self, later: Self) {
        fn take<T>(own: &mut Option<T>, later: Option<T>) {
            *own = later.or(own.take());
        }
        take(&mut self.import, later.import);
        take(&mut self.start, later.start);
        take(&mut self.lookup, later.lookup);
        take(&mut self.stream, later.stream);
        take(&mut self.batch, later.batch);
        take(&mut self.instructions, later.instructions);
        take(&mut self.publish, later.publish);
        take(&mut self.snapshot, later.snapshot);
        take(&mut self.replica, later.replica);
        take(&mut self.push, later.push);
        take(&mut self.mixed, later.mixed);
    }
}

/// Writes `RESULTS.md` and its plots into a directory, from what runs have written; of as many rows one behind the other make one
/// section.
pub(crate) fn run(files: &[PathBuf], note: Option<&str>, into: &Path) -> Result<()> {
    let mut text = "# Results\n\nWritten by `xinhub-bench report` from the JSON of the runs; README.md says how they are made. \
                    Figures are medians of rounds run in turns, smallest and largest in brackets; ratios are taken within a round.\n\n"
        .to_owned();
    if let Some(note) = note {
        text += &format!("{note}\n\n");
    }
    let plots = into.join("plots");
    if plots.exists() {
        fs::remove_dir_all(&plots)?;
    }
    fs::create_dir_all(&plots)?;
    let mut runs: Vec<Run> = Vec::new();
    for file in files {
        let shown = file.display();
        let json = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        let run: Run = serde_json::from_str(&json).map_err(|error| format!("{shown}: {error}"))?;
        match runs.last_mut().filter(|last| last.rows() == run.rows()) {
            Some(last) => last.add(run),
            None => runs.push(run),
        }
    }
    for run in runs {
        text += &format!("{}\n\n", run.title());
        for (name, title, svg) in plot::all(&run) {
            let name = format!("{name}-{}.svg", run.rows());
            fs::write(plots.join(&name), svg)?;
            text += &format!("![{title}](plots/{name})\n\n");
        }
        text += &run.text();
    }
    fs::write(into.join("RESULTS.md"), text.trim_end().to_owned() + "\n")?;
    Ok(())
}
