//! `report`: from the JSON of runs to Markdown and plots, so that no figure is ever copied by hand.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::machine::Machine;
use crate::world::Filled;
use crate::{
    Result, batch, expiry, import, instructions, lookup, mixed, plot, process, publish, push, reload, replica,
    snapshot, start, stream,
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
    pub(crate) import_rounds: Option<import::Compared>,
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
    /// Where servers and load shared the processors, next to a run in which they did not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) push_shared: Option<push::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) mixed: Option<mixed::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiry: Option<expiry::Figures>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reload: Option<reload::Figures>,
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
        section("Imports in turns", self.import_rounds.as_ref().map(import::compared));
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
        section("A lift, pushed, all processors shared", self.push_shared.as_ref().map(push::text));
        section("Checks beside everything else", self.mixed.as_ref().map(mixed::text));
        section("Terms that end at one midnight", self.expiry.as_ref().map(expiry::text));
        section("A policy is reloaded", self.reload.as_ref().map(reload::text));
        text
    }

    fn rows(&self) -> u64 {
        self.filled.as_ref().map_or(0, |filled| filled.rows)
    }

    /// Without relations a world is another one.
    fn world(&self) -> (u64, bool) {
        (self.rows(), self.filled.as_ref().is_some_and(|filled| filled.relations() > 0))
    }

    fn title(&self) -> String {
        let without = if self.world().1 { "" } else { ", nobody related" };
        format!("## {} listings{without}\n\n{}", self.rows(), self.machine.text())
    }

    /// Whether servers and load shared processors of which each could have had its own.
    fn is_shared(&self) -> bool {
        self.machine.cpus > 1 && self.machine.load_cpus == 0
    }

    /// Adds what another run has measured; of what both have, the later one's counts.
    fn add(&mut self, mut later: Self) {
        fn take<T>(own: &mut Option<T>, later: Option<T>) {
            *own = later.or(own.take());
        }
        match (self.is_shared(), later.is_shared()) {
            // What most of it was measured on stands above all of it.
            (true, false) => {
                self.machine = later.machine;
                self.push_shared = self.push_shared.take().or(self.push.take());
            }
            (false, true) => later.push_shared = later.push_shared.take().or(later.push.take()),
            (true, true) | (false, false) => {}
        }
        // Of the world that later figures are of; but an import that was measured is told with what came after it.
        if later.import.is_some() || self.import.is_none() {
            take(&mut self.filled, later.filled);
        }
        take(&mut self.import, later.import);
        take(&mut self.import_rounds, later.import_rounds);
        take(&mut self.start, later.start);
        take(&mut self.lookup, later.lookup);
        take(&mut self.stream, later.stream);
        take(&mut self.batch, later.batch);
        take(&mut self.instructions, later.instructions);
        take(&mut self.publish, later.publish);
        take(&mut self.snapshot, later.snapshot);
        take(&mut self.replica, later.replica);
        take(&mut self.push, later.push);
        take(&mut self.push_shared, later.push_shared);
        take(&mut self.mixed, later.mixed);
        take(&mut self.expiry, later.expiry);
        take(&mut self.reload, later.reload);
    }
}

/// One section for each world, in the order in which they are first seen.
fn sections(runs: impl IntoIterator<Item = Run>) -> Vec<Run> {
    let mut sections: Vec<Run> = Vec::new();
    for run in runs {
        match sections.iter_mut().find(|section| section.world() == run.world()) {
            Some(section) => section.add(run),
            None => sections.push(run),
        }
    }
    sections
}

/// Writes `RESULTS.md` and its plots into a directory, from what runs have written; those of like worlds make one section.
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
    let read = |file: &PathBuf| -> Result<Run> {
        let shown = file.display();
        let json = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        Ok(serde_json::from_str(&json).map_err(|error| format!("{shown}: {error}"))?)
    };
    let runs: Vec<Run> = files.iter().map(read).collect::<Result<_>>()?;
    for run in sections(runs) {
        text += &format!("{}\n\n", run.title());
        for (name, title, svg) in plot::all(&run) {
            let (rows, related) = run.world();
            let name = format!("{name}-{rows}{}.svg", if related { "" } else { "-unrelated" });
            fs::write(plots.join(&name), svg)?;
            text += &format!("![{title}](plots/{name})\n\n");
        }
        text += &run.text();
    }
    fs::write(into.join("RESULTS.md"), text.trim_end().to_owned() + "\n")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// What a run of `push` has written, on as many rows, with processors for the load, or none of its own.
    fn pushed(rows: u64, load_cpus: usize, lifts: usize) -> Run {
        let machine = Machine { cpus: 2, load_cpus, ..Machine::default() };
        let import =
            |file: &str| json!({ "file": file, "rows": rows, "seconds": 1.0, "rows_per_s": 1.0, "hub_cpu_s": 1.0 });
        let imports = [import("listings.csv"), import("relations.csv")];
        let filled = json!({ "rows": rows, "imports": imports, "peak_rss_mib": lifts });
        let push =
            json!({ "subscribers": 1, "connections": 1, "lifts": lifts, "rounds": 3, "rows": [], "framing_ns": 0 });
        let push = Run { push: serde_json::from_value(push).unwrap(), ..Run::default() };
        Run { machine, filled: serde_json::from_value(filled).unwrap(), ..push }
    }

    #[test]
    fn runs_of_as_many_rows_make_one_section() {
        let runs = [pushed(1, 1, 10), pushed(2, 1, 20), pushed(1, 0, 30), pushed(1, 1, 40)];
        let sections = sections(runs);
        assert_eq!(sections.iter().map(Run::rows).collect::<Vec<_>>(), [1, 2]);
        let text = sections[0].text();
        let lifts = |title: &str| text.split(title).nth(1).and_then(|rest| rest.split(" lifts").next()).unwrap();
        assert!(lifts("### A lift, pushed\n").ends_with(" 40"), "the later one counts: {text}");
        assert!(lifts("### A lift, pushed, all processors shared\n").ends_with(" 30"), "{text}");
    }

    #[test]
    fn a_run_without_relations_is_of_another_world() {
        let mut without = pushed(1, 1, 20);
        without.filled.as_mut().unwrap().imports.truncate(1);
        let sections = sections([pushed(1, 1, 10), without]);
        assert_eq!(sections.iter().map(Run::world).collect::<Vec<_>>(), [(1, true), (1, false)]);
    }

    #[test]
    fn a_run_on_shared_processors_stands_beside_the_others_whichever_comes_first() {
        let check = |runs: [Run; 2]| {
            let [section] = &sections(runs)[..] else { panic!("one section") };
            assert_eq!(section.machine.load_cpus, 1);
            let both = [&section.push, &section.push_shared];
            assert!(both.iter().all(|push| push.is_some()), "{both:?}");
            let at = |title| section.text().find(title).unwrap();
            assert!(at("### A lift, pushed\n") < at("### A lift, pushed, all processors shared\n"));
        };
        check([pushed(1, 1, 10), pushed(1, 0, 20)]);
        check([pushed(1, 0, 20), pushed(1, 1, 10)]);
    }

    #[test]
    fn an_import_that_was_measured_is_told_with_what_came_after_it() {
        let memory = json!({ "rss_mib": 1.0, "detail_cache_bytes": 1, "detail_store_mib": 1.0 });
        let import = json!({
            "lag": { "events": 1, "seconds": 1.0 }, "stop_s": 1.0, "after": [],
            "rest": {
                "listings": 1, "index_keys": 1, "index_bytes": 1, "listing_table_bytes": 1,
                "started": memory, "read": memory, "disk": [],
            },
        });
        let import = || serde_json::from_value(import.clone()).unwrap();
        let check = |runs: [Run; 2], expected: f64| {
            assert_eq!(sections(runs)[0].filled.as_ref().unwrap().peak_rss_mib, expected);
        };
        check([pushed(1, 1, 10), Run { import: import(), ..pushed(1, 1, 20) }], 20.0);
        check([Run { import: import(), ..pushed(1, 1, 20) }, pushed(1, 1, 10)], 20.0);
        check([pushed(1, 1, 10), pushed(1, 1, 20)], 20.0);
    }
}
