//! `xinhub announcements`: lifts of the last weeks by case, for whoever has published a listing and takes it down.

use clap::Args;
use xinhub_client::v1;

use crate::args::{ConnectArgs, GlobalArgs};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::{PAGE_ROWS, Session};
use crate::shapes;

/// Show the lifts to announce, newest first: court, case and day, and nobody's name
#[derive(Debug, Args)]
pub(crate) struct AnnouncementsArgs {
    /// Only those of this court
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    court: String,
    /// At most so many; all if not given
    #[arg(long, value_name = "COUNT")]
    limit: Option<u64>,
    #[command(flatten)]
    connect: ConnectArgs,
}

pub(crate) async fn run(args: AnnouncementsArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let lookup = Session::resolve(global, &args.connect)?.connect().await?.lookup();
    let mut left = args.limit.unwrap_or(u64::MAX);
    let mut page_token = String::new();
    while left > 0 {
        let page_size = i32::try_from(left.min(PAGE_ROWS)).unwrap_or(0);
        let request = v1::ListAnnouncementsRequest { page_size, page_token, court: args.court.clone() };
        let page = lookup.list_announcements(request).await?;
        left = left.saturating_sub(u64::try_from(page.announcements.len()).unwrap_or(u64::MAX));
        page_token = page.next_page_token;
        show_page(page.announcements, out)?;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(Exit::Success)
}

fn show_page(announcements: Vec<v1::Announcement>, out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        announcements.into_iter().try_for_each(|one| out.json(&shapes::Announcement::from(one)))?;
    } else if !announcements.is_empty() {
        let header = match out.lang {
            Lang::En => ["lifted on", "court", "case"],
            Lang::Zh => ["解除日期", "法院", "案号"],
        };
        out.table(&header, announcements.into_iter().map(|one| vec![one.lifted_on, one.court, one.case_number]))?;
    }
    out.flush()
}
