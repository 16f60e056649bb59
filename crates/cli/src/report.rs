//! `xinhub report`: the list, the deadlines and the duties in numbers that name nobody.

use clap::{Args, Subcommand};
use serde::Serialize;
use xinhub_client::v1::{self, StatisticsKind};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::Session;
use crate::shapes::{DeadlineCounts, DutyCounts, ListingCounts};
use crate::words;

/// What a table shows for a count that was left out: never a number.
const LEFT_OUT: &str = "–";

/// Count listings, deadlines and duties: courts their own and those below, auditors and operators all
#[derive(Debug, Args)]
pub(crate) struct ReportArgs {
    #[command(subcommand)]
    command: ReportCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Count what came into force, left the list and is in force, by court, ground and month
    Listings(SpanArgs),
    /// Count the deadlines that were kept and missed, by who was bound, clock and month
    Deadlines(SpanArgs),
    /// Count what units owe today, by unit and clock
    Duties,
}

/// Which months, and whose.
#[derive(Debug, Args)]
struct SpanArgs {
    /// The first month, YYYY-MM; the current one if not given
    #[arg(long, value_name = "MONTH", default_value = "", hide_default_value = true)]
    from: String,
    /// The last month, YYYY-MM, at most 120 months in all; the current one if not given
    #[arg(long, value_name = "MONTH", default_value = "", hide_default_value = true)]
    to: String,
    /// Only this court's
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    court: String,
}

impl ReportCommand {
    fn request(self) -> v1::GetStatisticsRequest {
        let (kind, span) = match self {
            ReportCommand::Listings(span) => (StatisticsKind::Listings, Some(span)),
            ReportCommand::Deadlines(span) => (StatisticsKind::Deadlines, Some(span)),
            ReportCommand::Duties => (StatisticsKind::Duties, None),
        };
        let span = span.map(|span| (span.from, span.to, span.court));
        let (from_month, to_month, court) = span.unwrap_or_default();
        v1::GetStatisticsRequest { kind: kind.into(), from_month, to_month, court }
    }
}

pub(crate) async fn run(args: ReportArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let request = args.command.request();
    let kind = request.kind();
    let counts = Session::resolve(global, &args.connect)?.connect().await?.audit().get_statistics(request).await?;
    let floor = counts.floor;
    match kind {
        StatisticsKind::Listings | StatisticsKind::Unspecified => {
            let rows = counts.listings.into_iter().map(|row| ListingCounts::of(row, floor)).collect();
            show(rows, &LISTINGS, floor, listing_row, out)?;
        }
        StatisticsKind::Deadlines => {
            let rows = counts.deadlines.into_iter().map(|row| DeadlineCounts::of(row, floor)).collect();
            show(rows, &DEADLINES, floor, deadline_row, out)?;
        }
        StatisticsKind::Duties => {
            let rows = counts.duties.into_iter().map(|row| DutyCounts::of(row, floor)).collect();
            show(rows, &DUTIES, floor, duty_row, out)?;
        }
    }
    Ok(Exit::Success)
}

/// The columns of a table, in English and in Chinese.
type Header<const N: usize> = [(&'static str, &'static str); N];

const LISTINGS: Header<10> = [
    ("court", "法院"),
    ("month", "月份"),
    ("ground", "列入情形"),
    ("listed", "列入"),
    ("of these restored", "其中恢复"),
    ("hidden", "屏蔽"),
    ("revoked", "撤销"),
    ("removed", "删除"),
    ("expired", "到期"),
    ("in force at its end", "月末有效"),
];
const DEADLINES: Header<5> =
    [("who", "责任方"), ("what", "事项"), ("month", "月份"), ("kept", "按期"), ("missed", "逾期")];
const DUTIES: Header<5> =
    [("unit", "监管单位"), ("what", "事项"), ("open", "待办"), ("overdue", "逾期"), ("oldest, days", "最长逾期天数")];

fn show<R: Serialize, const N: usize>(
    rows: Vec<R>,
    header: &Header<N>,
    floor: i32,
    row: impl Fn(&R, Lang) -> Vec<String>,
    out: &mut Out,
) -> Result<(), Failure> {
    match out.format {
        Format::Json => rows.iter().try_for_each(|row| out.json(row)),
        Format::Csv => out.csv(rows, true),
        Format::Table if rows.is_empty() => Ok(()),
        Format::Table => {
            let lang = out.lang;
            let header = header.map(|(en, zh)| lang.pick(en, zh));
            out.table(&header, rows.iter().map(|one| row(one, lang)))?;
            if floor > 0 {
                eprintln!("{}: {}", lang.pick("note", "注意"), left_out(floor, lang));
            }
            Ok(())
        }
    }
}

/// Why some counts are no numbers.
fn left_out(floor: i32, lang: Lang) -> String {
    match lang {
        Lang::En => format!(
            "{LEFT_OUT} stands for what is left out, since counts below {floor} could single somebody out; numbers in force are \
             rounded down to a multiple of {floor}"
        ),
        Lang::Zh => {
            format!("“{LEFT_OUT}”为不予列出的数：小于{floor}的数可能指向具体个人；有效数向下取整为{floor}的倍数")
        }
    }
}

fn told(count: Option<u64>) -> String {
    count.map_or_else(|| LEFT_OUT.to_owned(), |count| count.to_string())
}

fn listing_row(row: &ListingCounts, lang: Lang) -> Vec<String> {
    let ground = match row.ground {
        0 => lang.pick("erased", "已擦除").to_owned(),
        ground => ground.to_string(),
    };
    let counts = [row.listed, row.restored, row.hidden, row.revoked, row.removed, row.expired, Some(row.in_force)];
    [row.court.clone(), row.month.clone(), ground].into_iter().chain(counts.map(told)).collect()
}

fn deadline_row(row: &DeadlineCounts, lang: Lang) -> Vec<String> {
    let what = words::clock(&row.clock, lang).to_owned();
    vec![row.bearer.clone(), what, row.month.clone(), told(row.kept), told(row.missed)]
}

fn duty_row(row: &DutyCounts, lang: Lang) -> Vec<String> {
    let oldest = if row.overdue > 0 { row.oldest_days_overdue.to_string() } else { String::new() };
    let what = words::clock(&row.clock, lang).to_owned();
    vec![row.supervising_unit.clone(), what, told(row.open), row.overdue.to_string(), oldest]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_is_no_number() {
        let row = v1::ListingStatistics { court: "c".to_owned(), in_force: 5, suppressed: true, ..Default::default() };
        let cells = listing_row(&ListingCounts::of(row.clone(), 5), Lang::En);
        assert_eq!(cells[3..], ["–", "–", "–", "–", "–", "–", "5"]);
        let many = v1::ListingStatistics { listed: 9, ground: 2, suppressed: false, ..row };
        // So few came back that it is left out alone; to its own court a zero is a zero.
        assert_eq!(listing_row(&ListingCounts::of(many.clone(), 5), Lang::En)[2..5], ["2", "9", "–"]);
        assert_eq!(listing_row(&ListingCounts::of(many, 0), Lang::En)[2..5], ["2", "9", "0"]);
        let missed = v1::DeadlineStatistics { suppressed: true, ..Default::default() };
        assert_eq!(deadline_row(&DeadlineCounts::of(missed, 5), Lang::En)[3..], ["–", "–"]);
        let few = v1::DutyStatistics { overdue: 1, oldest_days_overdue: 4, suppressed: true, ..Default::default() };
        assert_eq!(duty_row(&DutyCounts::of(few, 5), Lang::En)[2..], ["–", "1", "4"]);
    }
}
