//! `xinhub check`: one question, one answer, and the verdict as exit code.

use clap::Args;
use xinhub_client::{By, v1};

use crate::args::{ConnectArgs, GlobalArgs};
use crate::codes::label;
use crate::exit::{Exit, Failure};
use crate::inquiry::{InquiryArgs, PurposeArgs};
use crate::lang::Lang;
use crate::output::{Format, Line, Out};
use crate::session::Session;
use crate::shapes::{self, some, time};
use crate::text;

/// Is this person or organisation restricted for this purpose?
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    purpose: PurposeArgs,
    #[command(flatten)]
    inquiry: InquiryArgs,
    #[command(flatten)]
    pub(crate) connect: ConnectArgs,
}

impl CheckArgs {
    /// Reads the files, and makes the question whole.
    pub(crate) fn request(self) -> Result<v1::CheckRequest, Failure> {
        let inquiry = Some(self.inquiry.read()?);
        let consistency = self.purpose.consistency();
        let PurposeArgs { measure, item, .. } = self.purpose;
        Ok(v1::CheckRequest { inquiry, measure, item: item.unwrap_or_default(), consistency })
    }
}

pub(crate) async fn run(args: CheckArgs, global: &GlobalArgs, out: &mut Out) -> Result<Exit, Failure> {
    out.refuse_csv()?;
    let session = Session::resolve(global, &args.connect)?;
    let request = args.request()?;
    let response = session.connect().await?.lookup().check(request).await?;
    show(response, None, out)
}

/// Shows an answer, and who has given it where that could be somebody else than the hub.
pub(crate) fn show(response: v1::CheckResponse, by: Option<By>, out: &mut Out) -> Result<Exit, Failure> {
    let answer = response.answer.unwrap_or_default();
    let end = Exit::Verdict(answer.verdict());
    let use_by = time(response.use_by);
    if out.format == Format::Json {
        let position = response.position.map(shapes::Position::from);
        let check = shapes::Check { answer: answer.into(), position, use_by };
        match by {
            Some(by) => out.json(&shapes::ReplicaCheck { check, by: code(by) })?,
            None => out.json(&check)?,
        }
        return Ok(end);
    }
    let lang = out.lang;
    out.record(&(), || {
        let mut lines = lines(&answer, use_by, lang);
        lines.extend(by.map(|by| (lang.pick("answered by", "答复者"), words(by, lang).to_owned())));
        lines
    })?;
    Ok(end)
}

fn code(by: By) -> &'static str {
    match by {
        By::Replica => "replica",
        By::Hub => "hub",
        By::Nobody => "nobody",
    }
}

fn words(by: By, lang: Lang) -> &'static str {
    match by {
        By::Replica => lang.pick("the replica", "副本"),
        By::Hub => lang.pick("the hub", "枢纽"),
        By::Nobody => lang.pick("nobody: the hub is not reached", "无：未能连接枢纽"),
    }
}

/// What a person reads. A one-bit caller's answer holds a slip and little else.
fn lines(answer: &v1::Answer, use_by: Option<String>, lang: Lang) -> Vec<Line> {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let told = |code: Option<&'static str>, text: String| match code {
        Some(code) if text.is_empty() => code.to_owned(),
        Some(code) => format!("{code}\n{text}"),
        None => text,
    };
    let list = |numbers: Vec<String>| numbers.join(", ");
    let mut lines = vec![
        (name("verdict", "结论"), told(label::<v1::Verdict>(answer.verdict), text::verdict(answer, lang))),
        (name("reason", "理由"), told(label::<v1::AnswerReason>(answer.reason), text::reason(answer, lang))),
        (name("effect", "措施效力"), label::<v1::Effect>(answer.effect).unwrap_or_default().to_owned()),
        (name("relation", "关系"), text::relation(answer.relation(), lang).to_owned()),
        (name("to establish", "须查明"), answer.open_condition.clone()),
        (name("procedure", "程序"), answer.procedure.clone()),
        (name("officers listed", "列入名单的任职人员数"), positive(answer.officers_listed)),
        (name("of these", "其位置"), list(answer.officer_positions.iter().map(i32::to_string).collect())),
        (name("listings", "名单编号"), list(answer.listings.iter().map(u64::to_string).collect())),
        (name("use by", "使用期限"), use_by.unwrap_or_default()),
    ];
    if let Some(slip) = &answer.slip {
        lines.extend([
            (name("hand over", "告知单"), lang.pick(&slip.text_en, &slip.text_zh).to_owned()),
            (name("court to ask", "咨询法院"), slip.court.clone()),
            (name("reference", "编号"), slip.reference.clone()),
        ]);
    }
    lines
}

fn positive(count: i32) -> String {
    some(count.to_string()).filter(|_| count > 0).unwrap_or_default()
}
