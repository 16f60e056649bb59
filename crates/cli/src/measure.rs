//! `xinhub measure`: the catalogue, and what this client does with a listing that it was told of.

use clap::{Args, Subcommand};
use xinhub_client::v1;
use xinhub_client::v1::report_request::Report;

use crate::args::{ConnectArgs, GlobalArgs, RequestArgs};
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Out};
use crate::session::Session;
use crate::{codes, shapes, text, words};

/// Show the catalogue, and report measures that were imposed, lifted or retained
#[derive(Debug, Args)]
pub(crate) struct MeasureArgs {
    #[command(subcommand)]
    command: MeasureCommand,
    #[command(flatten)]
    connect: ConnectArgs,
}

#[derive(Debug, Subcommand)]
enum MeasureCommand {
    /// List the catalogue in force, with what this client is granted of it
    List {
        /// Only what this client is granted
        #[arg(long)]
        granted: bool,
    },
    #[command(flatten)]
    Report(ReportCommand),
}

#[derive(Debug, Subcommand)]
enum ReportCommand {
    /// Report that a measure was imposed
    Imposed {
        /// The listing's number
        listing: u64,
        /// The measure's code
        #[arg(long, value_name = "CODE")]
        measure: String,
        /// One of its items
        #[arg(long, default_value = "", hide_default_value = true)]
        item: String,
        /// When, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        on: String,
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Report that what was imposed is lifted (credit bureaus: that the copy is corrected). Closes the duty
    Lifted {
        /// The listing's number
        listing: u64,
        /// When, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        on: String,
        /// What was done
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Acknowledge that nothing was imposed and what was kept is gone. Closes the duty; a machine may say so, without an actor
    Acknowledge {
        /// The listing's number
        listing: u64,
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Report that a measure is kept by this unit's own act, open to objection. Closes the duty until it ends
    Retain {
        /// The listing's number
        listing: u64,
        /// The measure's code
        #[arg(long, value_name = "CODE")]
        measure: String,
        /// The law that allows it
        #[arg(long, value_name = "TEXT")]
        legal_basis: String,
        /// Its last day, YYYY-MM-DD, at most 366 days from now
        #[arg(long, value_name = "DATE")]
        until: String,
        /// When the subject was told, YYYY-MM-DD
        #[arg(long, value_name = "DATE")]
        notified_on: String,
        #[command(flatten)]
        request: RequestArgs,
    },
    /// Report how the notice of an entry that only this unit may be shown was handled
    Handled {
        /// The listing's number
        listing: u64,
        /// What was done
        #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
        note: String,
        #[command(flatten)]
        request: RequestArgs,
    },
}

impl ReportCommand {
    fn request(self, session: &Session) -> Result<v1::ReportRequest, Failure> {
        let (listing, report, head) = match self {
            ReportCommand::Imposed { listing, measure, item, on, request } => {
                (listing, Report::Imposed(v1::ImposedReport { measure, item, on }), session.head(&request, None)?)
            }
            ReportCommand::Lifted { listing, on, note, request } => {
                (listing, Report::Lifted(v1::LiftedReport { on, note }), session.head(&request, None)?)
            }
            ReportCommand::Acknowledge { listing, request } => {
                (listing, Report::Acknowledged(v1::AcknowledgedReport {}), session.machine_head(&request)?)
            }
            ReportCommand::Retain { listing, measure, legal_basis, until, notified_on, request } => {
                let retained = v1::RetainedReport { measure, legal_basis, until, notified_on };
                (listing, Report::Retained(retained), session.head(&request, None)?)
            }
            ReportCommand::Handled { listing, note, request } => {
                (listing, Report::Handled(v1::HandledReport { note }), session.head(&request, None)?)
            }
        };
        Ok(v1::ReportRequest { mutation: Some(head), listing, report: Some(report) })
    }
}

pub(crate) async fn run(args: MeasureArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let session = Session::resolve(global, &args.connect)?;
    match args.command {
        MeasureCommand::List { granted } => list(&session, granted, out).await,
        MeasureCommand::Report(command) => report(&session, command, out).await,
    }
}

async fn report(session: &Session, command: ReportCommand, out: &mut Out) -> Result<Exit, Failure> {
    let request = command.request(session)?;
    let response = session.connect().await?.measures().report(request).await?;
    let (state, lang) = (response.duty_state(), out.lang);
    if response.replayed {
        eprintln!("{}: {}", lang.pick("note", "注意"), text::replayed(lang));
    }
    let shape = shapes::Report::from(response);
    out.record(&shape, || {
        vec![
            (lang.pick("listing", "名单编号"), shape.listing.to_string()),
            (lang.pick("duty", "待办"), words::duty_state(state, lang).to_owned()),
            (lang.pick("token", "位置标记"), shape.position.as_ref().map(|at| at.token.clone()).unwrap_or_default()),
        ]
    })?;
    Ok(Exit::Success)
}

async fn list(session: &Session, only_granted: bool, out: &mut Out) -> Result<Exit, Failure> {
    let response = session.connect().await?.measures().list_measures(v1::ListMeasuresRequest {}).await?;
    let rows: Vec<v1::MeasureRow> = response.measures.into_iter().filter(|row| row.granted || !only_granted).collect();
    if out.format == Format::Json {
        rows.into_iter().try_for_each(|row| out.json(&shapes::Measure::from(row)))?;
        return Ok(Exit::Success);
    }
    let lang = out.lang;
    let header = match lang {
        Lang::En => ["measure", "title", "effect", "items", "units", "enabled", "askable", "granted"],
        Lang::Zh => ["措施", "名称", "效力", "事项", "责任单位", "启用", "可查询", "已授权"],
    };
    let yes = |is: bool| if is { lang.pick("yes", "是").to_owned() } else { String::new() };
    let cells = rows.into_iter().map(|row| {
        let effect = codes::label::<v1::Effect>(row.effect).unwrap_or_default().to_owned();
        let (items, units) = (row.items.join("\n"), row.units.join("\n"));
        vec![row.measure, row.title_zh, effect, items, units, yes(row.enabled), yes(row.askable), yes(row.granted)]
    });
    out.table(&header, cells)?;
    Ok(Exit::Success)
}
