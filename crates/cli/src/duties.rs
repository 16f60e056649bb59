//! `xinhub duties`: what this client owes on listings that were lifted, and what it keeps by its own act.

use clap::Args;
use xinhub_client::v1::{self, DutyState};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::codes;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::{PAGE_ROWS, Session};
use crate::{shapes, words};

/// Show this client's own duties: open and overdue ones if no state is named
#[derive(Debug, Args)]
pub(crate) struct DutiesArgs {
    /// Only those in this state: open, overdue, closed. May be given several times
    #[arg(long, value_parser = codes::parser::<DutyState>())]
    state: Vec<DutyState>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: DutiesArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let measures = Session::resolve(global, &args.connect)?.connect().await?.measures();
    let mut request = v1::ListDutiesRequest {
        page_size: i32::try_from(PAGE_ROWS).unwrap_or(0),
        page_token: String::new(),
        states: args.state.into_iter().map(i32::from).collect(),
    };
    loop {
        let page = measures.list_duties(request.clone()).await?;
        show_page(page.duties, out)?;
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return Ok(Exit::Success);
        }
    }
}

fn show_page(duties: Vec<v1::Duty>, out: &mut Out) -> Result<(), Failure> {
    let lang = out.lang;
    if out.format == Format::Json {
        duties.into_iter().try_for_each(|one| out.json(&shapes::Duty::from(one)))?;
    } else if !duties.is_empty() {
        let header = match lang {
            Lang::En => ["listing", "state", "due", "what", "court", "imposed", "retained", "closed by"],
            Lang::Zh => ["名单编号", "状态", "届满日", "事项", "法院", "已采取", "继续保留", "办结方式"],
        };
        out.table(&header, duties.iter().map(|duty| row(duty, lang)))?;
    }
    out.flush()
}

fn row(duty: &v1::Duty, lang: Lang) -> Vec<String> {
    let imposed = duty.imposed.iter().map(|one| match one.item.as_str() {
        "" => format!("{} ({})", one.measure, one.on),
        item => format!("{}/{item} ({})", one.measure, one.on),
    });
    let kept =
        duty.own_retention.iter().map(|one| format!("{} ({} {})", one.measure, lang.pick("until", "至"), one.until));
    vec![
        duty.listing.to_string(),
        words::duty_state(duty.state(), lang).to_owned(),
        duty.due.clone(),
        words::clock(&duty.clock, lang).to_owned(),
        duty.court.clone(),
        imposed.collect::<Vec<_>>().join("\n"),
        kept.collect::<Vec<_>>().join("\n"),
        words::closed_by(&duty.closed_by, lang).to_owned(),
    ]
}
