//! `report`: from the JSON of runs to Markdown, so that no figure is ever copied by hand.

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde::Deserialize;

use crate::{Result, import, lookup, push, replica};

/// What `--json` wrote: one run.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Run {
    Lookup(lookup::Figures),
    Import(import::Figures),
    Replica(replica::Figures),
    Push(push::Figures),
}

/// Writes the report to standard output.
pub(crate) fn run(files: &[PathBuf], note: Option<&str>) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(
        out,
        "# Results\n\nWritten by `xinhub-bench report` from the JSON of the runs; see README.md for how they are made."
    )?;
    if let Some(note) = note {
        writeln!(out, "\n{note}")?;
    }
    for file in files {
        let shown = file.display();
        let text = fs::read_to_string(file).map_err(|error| format!("{shown}: {error}"))?;
        let run: Run = serde_json::from_str(&text).map_err(|error| format!("{shown}: {error}"))?;
        match run {
            Run::Lookup(figures) => write!(out, "\n{}", section_lookup(&figures))?,
            Run::Import(figures) => write!(out, "\n{}", section_import(&figures))?,
            Run::Replica(figures) => write!(out, "\n{}", section_replica(&figures))?,
            Run::Push(figures) => write!(out, "\n{}", section_push(&figures))?,
        }
    }
    Ok(())
}

fn machine(cpus: usize, build: &str) -> String {
    let debug = if build == "release" { "" } else { ", NOT optimised: figures of no worth" };
    format!("A virtual machine with {cpus} processors; server and load share them. Build: {build}{debug}.")
}

fn section_lookup(figures: &lookup::Figures) -> String {
    let lookup::Figures { build, cpus, listings, rounds, .. } = figures;
    format!(
        "## Checks next to an empty RPC\n\n{}\n\n{listings} listings. Medians of {rounds} rounds run in turns, smallest and \
         largest in brackets; ratios are taken within a round.\n\n{}\n",
        machine(*cpus, build),
        lookup::table(figures)
    )
}

fn section_import(figures: &import::Figures) -> String {
    let import::Figures { build, cpus, listings, .. } = figures;
    let machine = machine(*cpus, build);
    format!("## {listings} listings: import, starts, disk\n\n{machine}\n\n{}", import::text(figures))
}

fn section_replica(figures: &replica::Figures) -> String {
    let replica::Figures { build, cpus, listings, rounds, .. } = figures;
    let machine = machine(*cpus, build);
    format!("## Replicas of {listings} listings\n\n{machine} Medians of {rounds} rounds.\n\n{}", replica::text(figures))
}

fn section_push(figures: &push::Figures) -> String {
    let machine = machine(figures.cpus, &figures.build);
    format!("## A lift, pushed\n\n{machine} {}", push::text(figures))
}
