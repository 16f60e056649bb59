//! The machine that figures are of: without it they tell nothing.

use std::fs;

use serde::{Deserialize, Serialize};

use crate::Result;

/// What it is, as far as the kernel says.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) cpu: String,
    pub(crate) cpus: usize,
    pub(crate) memory_gib: f64,
    pub(crate) kernel: String,
    /// How the programs were built.
    pub(crate) build: String,
    /// Of all processors, those that the load has for itself; 0 where servers and load share them.
    pub(crate) load_cpus: usize,
}

impl Machine {
    pub(crate) fn here(load_cpus: usize) -> Result<Self> {
        let info = fs::read_to_string("/proc/cpuinfo")?;
        let cpus = value(&info, "processor").count();
        let memory = fs::read_to_string("/proc/meminfo")?;
        let kib = value(&memory, "MemTotal").find_map(|text| text.split_whitespace().next()?.parse::<f64>().ok());
        Ok(Self {
            // Not on every architecture.
            cpu: value(&info, "model name").next().unwrap_or("unnamed processor").to_owned(),
            cpus,
            memory_gib: kib.unwrap_or_default() / (1024.0 * 1024.0),
            kernel: fs::read_to_string("/proc/sys/kernel/osrelease")?.trim().to_owned(),
            build: if cfg!(debug_assertions) { "dev" } else { "release" }.to_owned(),
            load_cpus: if load_cpus < cpus { load_cpus } else { 0 },
        })
    }

    /// One line for a report.
    pub(crate) fn text(&self) -> String {
        let Self { cpu, cpus, memory_gib, kernel, build, load_cpus } = self;
        let shared = match cpus - load_cpus {
            servers if servers == *cpus => "servers and load share them".to_owned(),
            servers => format!("servers run on {servers} of them, the load on {load_cpus}"),
        };
        let debug = if build == "release" { "" } else { ", NOT optimised: figures of no worth" };
        format!(
            "{cpu}, {cpus} processors: {shared}. {memory_gib:.0} GiB of memory, Linux {kernel}. Build: {build}{debug}."
        )
    }
}

/// The values of lines `key : value`.
fn value<'a>(text: &'a str, key: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines().filter_map(move |line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then_some(value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_of_lines_with_the_key() {
        let check = |text, key, expected: &[&str]| assert_eq!(value(text, key).collect::<Vec<_>>(), expected, "{text}");
        check("processor\t: 0\nmodel name\t: Fast: 3\n\nprocessor\t: 1\n", "processor", &["0", "1"]);
        check("processor\t: 0\nmodel name\t: Fast: 3\n", "model name", &["Fast: 3"]);
        check("MemTotal:  12 kB\nMemTotalX: 1\n", "MemTotal", &["12 kB"]);
        check("", "MemTotal", &[]);
    }

    #[test]
    fn this_machine_has_processors_and_memory() {
        let here = Machine::here(1).unwrap();
        assert!(here.cpus > 0 && here.memory_gib > 0.0 && !here.kernel.is_empty(), "{here:?}");
    }
}
