//! `xinhub deadlines`: what falls due, is due and is overdue; and the board of what is overdue.

pub(crate) mod board;

use clap::Args;
use xinhub_client::v1::{self, DeadlineStatus};
use xinhub_domain::deadline::Clock;

use crate::args::{ConnectArgs, GlobalArgs};
use crate::codes;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::{PAGE_ROWS, Session};
use crate::{shapes, words};

/// Show what falls due, is due and is overdue: a court's own and those of the courts below it, a unit's own
#[derive(Debug, Args)]
pub(crate) struct DeadlinesArgs {
    /// Only those that stand so. May be given several times
    #[arg(long, value_parser = codes::parser::<DeadlineStatus>())]
    status: Vec<DeadlineStatus>,
    /// Only those of this clock, such as review or lift_measures. May be given several times
    #[arg(long, value_parser = clock)]
    clock: Vec<Clock>,
    /// Only those of this court's listings
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    court: String,
    /// Only those of clients that this unit supervises
    #[arg(long, value_name = "CODE", default_value = "", hide_default_value = true)]
    unit: String,
    /// Only those at least so many days overdue
    #[arg(long, value_name = "DAYS", default_value_t = 0, hide_default_value = true,
        value_parser = clap::value_parser!(i32).range(0..))]
    min_days_overdue: i32,
    /// Count what is overdue by supervising unit and age, worst first
    #[arg(long, conflicts_with = "status")]
    board: bool,
    #[command(flatten)]
    connect: ConnectArgs,
}

fn clock(text: &str) -> Result<Clock, String> {
    Clock::from_code(text).ok_or_else(|| {
        let known: Vec<&str> = Clock::ALL.iter().map(|clock| clock.code()).collect();
        format!("expected one of {}", known.join(", "))
    })
}

pub(crate) async fn run(args: DeadlinesArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    let remedy = Session::resolve(global, &args.connect)?.connect().await?.remedy();
    let statuses = if args.board { vec![DeadlineStatus::Overdue] } else { args.status };
    let mut request = v1::ListDeadlinesRequest {
        page_size: i32::try_from(PAGE_ROWS).unwrap_or(0),
        page_token: String::new(),
        statuses: statuses.into_iter().map(i32::from).collect(),
        clocks: args.clock.iter().map(|clock| clock.code().to_owned()).collect(),
        court: args.court,
        unit: args.unit,
        min_days_overdue: args.min_days_overdue,
    };
    let mut board = board::Board::default();
    let mut is_first = true;
    loop {
        let page = remedy.list_deadlines(request.clone()).await?;
        if args.board {
            page.deadlines.iter().for_each(|deadline| board.count(deadline));
        } else {
            show_page(page.deadlines, is_first, out)?;
        }
        is_first = false;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    if args.board {
        board.show(out)?;
    }
    Ok(Exit::Success)
}

fn show_page(deadlines: Vec<v1::Deadline>, is_first: bool, out: &mut Out) -> Result<(), Failure> {
    match out.format {
        Format::Json => deadlines.into_iter().try_for_each(|one| out.json(&shapes::Deadline::from(one)))?,
        Format::Csv => out.csv(deadlines.into_iter().map(shapes::Deadline::from), is_first)?,
        Format::Table if deadlines.is_empty() => {}
        Format::Table => {
            let lang = out.lang;
            let header = match lang {
                Lang::En => ["due", "status", "days overdue", "what", "who", "unit", "court", "listing", "petition"],
                Lang::Zh => {
                    ["届满日", "状态", "逾期天数", "事项", "责任方", "监管单位", "法院", "名单编号", "申请编号"]
                }
            };
            out.table(&header, deadlines.iter().map(|deadline| row(deadline, lang)))?;
        }
    }
    out.flush()
}

fn row(deadline: &v1::Deadline, lang: Lang) -> Vec<String> {
    let number = |value: u64| if value == 0 { String::new() } else { value.to_string() };
    vec![
        deadline.due.clone(),
        words::deadline_status(deadline.status(), lang).to_owned(),
        if deadline.days_overdue > 0 { deadline.days_overdue.to_string() } else { String::new() },
        words::clock(&deadline.clock, lang).to_owned(),
        deadline.bearer.clone(),
        deadline.supervising_unit.clone(),
        deadline.court.clone(),
        number(deadline.listing),
        number(deadline.petition),
    ]
}

/// A deadline in one line.
pub(crate) fn told(deadline: &v1::Deadline, lang: Lang) -> String {
    let (what, status) = (words::clock(&deadline.clock, lang), words::deadline_status(deadline.status(), lang));
    let days = match deadline.days_overdue {
        days if days > 0 => format!(" {days} {}", lang.pick("days", "天")),
        _ => String::new(),
    };
    format!("{} {what} ({}): {status}{days}", deadline.due, deadline.bearer)
}
