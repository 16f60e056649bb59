//! `instructions`: what a check costs in instructions, counted by callgrind, so that a regression shows without a clock.
//!
//! What the kernel does is not counted, and on how many threads the work lies doesn't show: `lookup` measures both.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

use crate::ask::{Questions, batches, checks, questions, stream};
use crate::compare::new_table;
use crate::load::{self, Line, Shape};
use crate::lookup::SAME;
use crate::process::{On, Server};
use crate::report::Run;
use crate::world::{BANK, Place, World};
use crate::{Output, Result, note};

const EMPTY: &str = "empty RPC, tuned";
const BATCH: usize = 1_000;
/// Connections, and calls in flight on each.
const SHAPE: (usize, usize) = (4, 32);
const WARM_UP_S: f64 = 3.0;

#[derive(clap::Args)]
pub(crate) struct Args {
    /// Listings on the hub: each instruction takes fifty here, and among more a miss costs as many
    #[arg(long, default_value_t = 2_000)]
    rows: u64,
    /// How long each is counted, in seconds
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Keep callgrind's files in this directory, for callgrind_annotate
    #[arg(long, value_name = "DIR")]
    keep: Option<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

/// The whole run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Figures {
    rows: Vec<Row>,
}

/// One thing counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Row {
    what: String,
    /// For one identity.
    instructions: f64,
    asked: u64,
    /// The same, by [`PARTS`].
    #[serde(default)]
    parts: Vec<f64>,
}

/// What functions are for, by the crate that the first path of their name leads to, or (`*`) by how that begins. What was inlined counts with
/// the function that it was inlined into.
const PARTS: [(&str, &[&str]); 9] = [
    ("TLS", &["rustls", "tokio_rustls", "aws_lc*", "_aesni*", "aesni*"]),
    ("HTTP/2, gRPC", &["h2", "hyper", "hyper_util", "http", "http_body", "http_body_util", "tonic", "tower", "bytes"]),
    ("runtime", &["tokio", "tokio_util", "futures_core", "futures_util", "mio", "parking_lot", "parking_lot_core"]),
    ("messages", &["prost", "prost_types", "xinhub_api"]),
    ("identities", &["xinhub_domain::identity", "jiff", "jiff_core"]),
    ("decision, permits, quota", &["xinhub_domain", "xinhub_ledger", "xinhub_server"]),
    ("look-up", &["xinhub_index", "aes", "arc_swap"]),
    ("record", &["xinhub_server::audit", "minicbor", "crc32c", SHA_256]),
    ("copying and allocating", &["alloc", "mi_*", "_mi_*", "__mem*", "hashbrown"]),
];
/// Among what TLS uses, but for one connection alone: what is told of here is the record's chain.
const SHA_256: &str = "sha256";

pub(crate) async fn run(args: Args) -> Result<()> {
    let (world, filled) = World::filled(&args.place, args.rows).await?;
    let (clear, listed) = questions(&world)?;
    let mut rows = Vec::new();
    let echo = Counted::start(&world, world.tuned_echo()?, "echo", args.keep.as_deref()).await?;
    rows.push(echo.count(EMPTY, 1, args.seconds, |hub| checks(hub, &Questions::empty())).await?);
    rows.push(echo.count(SAME, 1, args.seconds, |hub| checks(hub, &clear)).await?);
    echo.server.stop().await?;
    let hub = Counted::start(&world, world.hub(), "hub", args.keep.as_deref()).await?;
    // Its store is opened beside the first calls.
    world.details_caught_up(&hub.server).await?;
    rows.push(hub.count("Check, CLEAR", 1, args.seconds, |hub| checks(hub, &clear)).await?);
    rows.push(hub.count("Check, listed", 1, args.seconds, |hub| checks(hub, &listed)).await?);
    rows.push(hub.count("CheckStream, CLEAR", 1, args.seconds, |hub| stream(hub, &clear)).await?);
    let batch = hub.count("BatchCheck of 1,000, CLEAR", BATCH, args.seconds, |hub| batches(hub, &clear, BATCH));
    rows.push(batch.await?);
    hub.server.stop().await?;
    args.output.write(&Run { instructions: Some(Figures { rows }), ..Run::of(&filled)? })
}

/// A server under callgrind.
struct Counted<'a> {
    world: &'a World,
    server: Server,
    out: PathBuf,
}

impl<'a> Counted<'a> {
    async fn start(world: &'a World, command: Command, name: &str, keep: Option<&Path>) -> Result<Self> {
        let name = format!("{name}.callgrind");
        let out = keep.map_or_else(|| world.path(&name), |dir| dir.join(&name));
        // What an earlier run has left would be taken for this one's.
        for number in 1.. {
            let old = PathBuf::from(format!("{}.{number}", out.display()));
            if !old.exists() {
                break;
            }
            std::fs::remove_file(old)?;
        }
        let mut valgrind = Command::new("valgrind");
        valgrind.args(["-q", "--tool=callgrind"]).arg(format!("--callgrind-out-file={}", out.display()));
        valgrind.arg(command.get_program()).args(command.get_args());
        if let Some(dir) = command.get_current_dir() {
            valgrind.current_dir(dir);
        }
        let server = Server::start(valgrind, &out.with_extension("log"), On::Servers).await?;
        Ok(Self { world, server, out })
    }

    /// Instructions of the server, by the identities that it was asked about meanwhile.
    async fn count(
        &self,
        what: &str,
        per_call: usize,
        seconds: f64,
        line: impl Fn(&xinhub_client::Hub) -> Line,
    ) -> Result<Row> {
        note(format_args!("counting: {what}"));
        let connect = async || {
            let mut lines = Vec::new();
            for _ in 0..SHAPE.0 {
                lines.push(line(&self.world.client(&self.server, BANK).await?));
            }
            Result::Ok(lines)
        };
        // What is made once, and lazily, is made by then.
        load::run(&self.server, connect().await?, Shape::closed(SHAPE.0, SHAPE.1, WARM_UP_S)).await?;
        let lines = connect().await?;
        self.control("--zero").await?;
        let measured = load::run(&self.server, lines, Shape::closed(SHAPE.0, SHAPE.1, seconds)).await?;
        self.control("--dump").await?;
        let asked = measured.calls * u64::try_from(per_call)?;
        let text = self.newest()?;
        let parts = by_part(&text)?.into_iter().map(|part| part as f64 / asked as f64).collect();
        Ok(Row { what: what.to_owned(), instructions: total(&text)? / asked as f64, asked, parts })
    }

    /// The newest dump: callgrind numbers what it writes on demand, and writes some files more than one was asked for.
    fn newest(&self) -> Result<String> {
        let numbered = |number: u32| PathBuf::from(format!("{}.{number}", self.out.display()));
        let newest = (1..).map(numbered).take_while(|path| path.exists()).last();
        Ok(std::fs::read_to_string(newest.ok_or("callgrind has written nothing")?)?)
    }

    async fn control(&self, what: &str) -> Result<()> {
        let mut command = Command::new("callgrind_control");
        command.arg(what).arg(self.server.id().to_string()).stdout(Stdio::null());
        let status = tokio::task::spawn_blocking(move || command.status()).await??;
        if status.success() { Ok(()) } else { Err(format!("callgrind_control {what}: {status}").into()) }
    }
}

fn total(dump: &str) -> Result<f64> {
    let total = |line| str::strip_prefix(line, "totals: ").or(str::strip_prefix(line, "summary: "));
    Ok(dump.lines().rev().find_map(total).ok_or("callgrind's file tells no total")?.trim().parse()?)
}

/// A dump's instructions by [`PARTS`], and last those of what belongs to none: of each function what it did itself.
///
/// A function is named where it is first met, `fn=(7) name`, and later by its number alone. A call has two lines: `calls=…`, and what
/// it cost with all that was called, which is counted where it was done.
fn by_part(dump: &str) -> Result<[u64; PARTS.len() + 1]> {
    let mut parts = [0; PARTS.len() + 1];
    let mut part_of: HashMap<&str, usize> = HashMap::new();
    let (mut now, mut is_call) = (PARTS.len(), false);
    for line in dump.lines() {
        let named = line.strip_prefix("fn=").or(line.strip_prefix("cfn="));
        if let Some((number, name)) = named.map(|named| named.split_once(' ').unwrap_or((named, ""))) {
            if !name.is_empty() {
                part_of.insert(number, part(name));
            }
            if line.starts_with("fn=") {
                now = *part_of.get(number).ok_or("callgrind's file names no function by that number")?;
            }
        } else if line.starts_with("calls=") {
            is_call = true;
        } else if line.starts_with(|first: char| first.is_ascii_digit() || "+-*".contains(first)) {
            let cost = line.split_ascii_whitespace().nth(1).unwrap_or("0");
            if !std::mem::take(&mut is_call) {
                parts[now] += cost.parse::<u64>()?;
            }
        }
    }
    Ok(parts)
}

/// The one of [`PARTS`] that a function belongs to.
fn part(function: &str) -> usize {
    if function.contains(SHA_256) {
        return PARTS.iter().position(|(_, names)| names.contains(&SHA_256)).unwrap_or(PARTS.len());
    }
    // `<h2::Frame as core::fmt::Debug>::fmt` is of h2, and what drops a request of the request.
    let mut rest = function;
    loop {
        rest = rest.trim_start_matches(|other: char| !other.is_ascii_alphanumeric() && other != '_');
        if rest.is_empty() {
            return PARTS.len();
        }
        let path_len = rest.find(|other: char| !other.is_ascii_alphanumeric() && !"_:".contains(other));
        let (path, behind) = rest.split_at(path_len.unwrap_or(rest.len()));
        let begins = |name: &str| match name.strip_suffix('*') {
            Some(name) => path.starts_with(name),
            None => path.strip_prefix(name).is_some_and(|behind| behind.is_empty() || behind.starts_with("::")),
        };
        // The longest name says it most exactly.
        let names = PARTS.iter().enumerate().flat_map(|(at, (_, names))| names.iter().map(move |name| (at, *name)));
        if let Some((at, _)) = names.filter(|(_, name)| begins(name)).max_by_key(|(_, name)| name.len()) {
            return at;
        }
        rest = behind;
    }
}

/// Instructions of each.
pub(crate) fn text(figures: &Figures) -> String {
    let empty = figures.rows.iter().find(|row| row.what == EMPTY).map_or(f64::NAN, |row| row.instructions);
    let mut table = new_table(["what", "instructions of the server", "× empty RPC, tuned"]);
    for row in &figures.rows {
        let times = row.instructions / empty;
        table.add_row([row.what.clone(), format!("{:.0}", row.instructions), format!("{times:.2}")]);
    }
    let mut parts = new_table(std::iter::once("by what it is for").chain(figures.rows.iter().map(|row| &*row.what)));
    let names = PARTS.iter().map(|(name, _)| *name).chain(["rest"]);
    for (at, name) in names.enumerate() {
        let of = |row: &Row| row.parts.get(at).map_or_else(String::new, |part| format!("{part:.0}"));
        parts.add_row(std::iter::once(name.to_owned()).chain(figures.rows.iter().map(of)));
    }
    format!(
        "Outside of the kernel, for one identity, with {} × {} calls in flight. Callgrind's processor has no instruction for SHA-256, \
         so a record's hash counts several times what it costs.\n\n{table}\n\n{parts}\n",
        SHAPE.0, SHAPE.1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_function_belongs_to_what_its_first_known_path_leads_to() {
        let check = |function: &str, expected: &str| {
            let name = PARTS.get(part(function)).map_or("rest", |(name, _)| name);
            assert_eq!(name, expected, "{function}");
        };
        check("h2::hpack::encoder::encode_str", "HTTP/2, gRPC");
        check("<xinhub_server::service::door::Door<S> as tower_service::Service<B>>::call", "decision, permits, quota");
        check("xinhub_server::audit::record::encode", "record");
        check("xinhub_domain::identity::personal::plain", "identities");
        check("xinhub_domain::decision::plan", "decision, permits, quota");
        check("core::ptr::drop_in_place<xinhub_api::v1::CheckRequest>", "messages");
        check("aws_lc_0_47_0_sha256_block_data_order_avx", "record");
        check("aws_lc_0_47_0_aes_hw_ctr32_encrypt_blocks", "TLS");
        check("__memcpy_avx_unaligned_erms", "copying and allocating");
        check("_mi_malloc_generic", "copying and allocating");
        check("<aes::autodetect::Aes128 as cipher::block::BlockEncrypt>::encrypt", "look-up");
        check("aesop::fable", "rest");
        check("clock_gettime@@GLIBC_2.17", "rest");
    }

    #[test]
    fn what_a_call_costs_is_counted_where_it_is_done() {
        let dump = "fn=(1) h2::frame::encode\n10 5\n+2 7\ncfn=(2) rustls::conn::write\ncalls=1 3\n* 100\n-1 1\n\n\
                    fn=(2)\n3 90\n\nfn=(3) main\n8 4\n\nfn=(1)\n9 2\n\ntotals: 109\n";
        let parts = by_part(dump).unwrap();
        assert_eq!(parts.iter().sum::<u64>(), 109);
        assert_eq!((parts[0], parts[1], parts[PARTS.len()]), (90, 15, 4));
        assert_eq!(total(dump).unwrap(), 109.0);
    }
}
