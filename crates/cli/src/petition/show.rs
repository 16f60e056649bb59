//! Petitions and what became of them, for people and for programs.

use xinhub_client::{Error, v1};

use crate::codes::code;
use crate::deadlines;
use crate::exit::{Exit, Failure};
use crate::lang::Lang;
use crate::output::{Format, Line, Out};
use crate::session::{PAGE_ROWS, Session};
use crate::shapes;
use crate::{text, words};

/// Which petitions.
pub(super) struct Filter {
    pub(super) kind: v1::PetitionKind,
    pub(super) states: Vec<v1::PetitionState>,
    pub(super) listing: u64,
    pub(super) limit: Option<u64>,
}

pub(super) async fn show(session: &Session, petition: u64, out: &mut Out) -> Result<Exit, Failure> {
    let request = v1::GetPetitionRequest { petition };
    let petition = session.connect().await?.remedy().get_petition(request).await?.petition.unwrap_or_default();
    let shape = shapes::Petition::from(petition.clone());
    let lang = out.lang;
    out.record(&shape, || lines(&petition, lang))?;
    Ok(Exit::Success)
}

fn lines(petition: &v1::Petition, lang: Lang) -> Vec<Line> {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let content = petition.content.clone().unwrap_or_default();
    let identity = |identity: &Option<v1::Identity>| {
        let told =
            |one: &v1::Identity| format!("{} {}", code::<v1::IdentityKind>(one.kind).unwrap_or_default(), one.number);
        identity.as_ref().map(told).unwrap_or_default()
    };
    let mut lines = vec![
        (name("petition", "申请编号"), petition.petition.to_string()),
        (name("kind", "类别"), words::petition_kind(content.kind(), lang).to_owned()),
        (name("state", "状态"), words::petition_state(petition.state(), lang).to_owned()),
        (name("etag", "etag"), petition.etag.clone()),
        (name("listing", "名单编号"), number(petition.listing)),
        (name("court", "法院"), petition.court.clone()),
        (name("taken in by", "收件单位"), petition.intake.clone()),
        (name("received on", "收到日期"), content.received_on.clone()),
        (
            name("late", "逾期提出"),
            if petition.late { name("yes; taken all the same", "是；仍予受理") } else { "" }.to_owned(),
        ),
        (name("role", "身份"), words::party_role(content.role(), lang).to_owned()),
        (name("name", "姓名或名称"), content.name.clone()),
        (name("identity", "证件"), identity(&content.party)),
        (name("ground", "理由"), words::objection_ground(content.ground(), lang).to_owned()),
        (name("against", "被投诉方"), content.against.clone()),
        (name("case", "案号"), content.case_number.clone()),
        (name("debtor", "被执行人"), content.debtor_name.clone()),
        (name("debtor's identity", "被执行人证件"), identity(&content.debtor)),
        (name("statement", "陈述"), content.statement.clone()),
        (name("documents", "材料"), content.documents.join("\n")),
    ];
    lines.extend(petition.steps.iter().map(|one| (name("step", "经过"), step(one, lang))));
    if let Some(deadline) = &petition.deadline {
        lines.push((name("deadline", "期限"), deadlines::told(deadline, lang)));
    }
    lines
}

fn number(value: u64) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

fn step(step: &v1::PetitionStep, lang: Lang) -> String {
    let at = shapes::time(step.time).unwrap_or_default();
    let mut told = format!("{at} {} ({})", words::petition_state(step.state(), lang), step.client);
    if !step.served_on.is_empty() {
        told = format!("{told}; {} {}", lang.pick("served", "送达"), step.served_on);
    }
    if step.late {
        told = format!("{told}; {}", lang.pick("late", "逾期"));
    }
    if step.reasons.is_empty() { told } else { format!("{told}\n{}", step.reasons) }
}

/// All that fit, page by page: memory holds one page.
pub(super) async fn list(session: &Session, filter: Filter, out: &mut Out) -> Result<Exit, Failure> {
    let remedy = session.connect().await?.remedy();
    let mut left = filter.limit.unwrap_or(u64::MAX);
    let mut page_token = String::new();
    while left > 0 {
        let request = v1::ListPetitionsRequest {
            page_size: i32::try_from(left.min(PAGE_ROWS)).unwrap_or(0),
            page_token,
            states: filter.states.iter().copied().map(i32::from).collect(),
            kinds: vec![filter.kind.into()],
            listing: filter.listing,
        };
        let page = remedy.list_petitions(request).await?;
        left = left.saturating_sub(u64::try_from(page.petitions.len()).unwrap_or(u64::MAX));
        page_token = page.next_page_token;
        show_page(page.petitions, out)?;
        if page_token.is_empty() {
            break;
        }
    }
    Ok(Exit::Success)
}

fn show_page(petitions: Vec<v1::Petition>, out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        petitions.into_iter().try_for_each(|one| out.json(&shapes::Petition::from(one)))?;
    } else if !petitions.is_empty() {
        table(&petitions, out)?;
    }
    out.flush()
}

/// One a row.
pub(crate) fn table(petitions: &[v1::Petition], out: &mut Out) -> Result<(), Failure> {
    let lang = out.lang;
    let rows = petitions.iter().map(|petition| {
        let content = petition.content.clone().unwrap_or_default();
        let ground = match content.kind() {
            v1::PetitionKind::Complaint => content.against.clone(),
            _ => words::objection_ground(content.ground(), lang).to_owned(),
        };
        vec![
            petition.petition.to_string(),
            words::petition_state(petition.state(), lang).to_owned(),
            number(petition.listing),
            words::party_role(content.role(), lang).to_owned(),
            content.name.clone(),
            ground,
            content.received_on.clone(),
            petition.deadline.as_ref().map(|deadline| deadlines::told(deadline, lang)).unwrap_or_default(),
            petition.etag.clone(),
        ]
    });
    let header = match lang {
        Lang::En => ["petition", "state", "listing", "role", "name", "ground", "received", "deadline", "etag"],
        Lang::Zh => ["申请编号", "状态", "名单编号", "身份", "姓名或名称", "理由", "收到日期", "期限", "etag"],
    };
    out.table(&header, rows)
}

/// What an act did. What a clerk must know besides goes to standard error, so that it is seen in scripts too.
pub(super) fn outcome(outcome: Option<v1::PetitionOutcome>, out: &mut Out) -> Result<Exit, Failure> {
    let outcome = outcome.ok_or_else(|| Error::Connection("the hub answered without an outcome".to_owned()))?;
    let lang = out.lang;
    for warning in &outcome.warnings {
        eprintln!("{}: {warning}", lang.pick("warning", "警告"));
    }
    for (applies, told) in [(outcome.late, text::late(lang)), (outcome.replayed, text::replayed(lang))] {
        if applies {
            eprintln!("{}: {told}", lang.pick("note", "注意"));
        }
    }
    let (state, listing_state) = (outcome.state(), outcome.listing_state());
    let shape = shapes::PetitionOutcome::from(outcome);
    out.record(&shape, || {
        let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
        vec![
            (name("petition", "申请编号"), shape.petition.to_string()),
            (name("state", "状态"), words::petition_state(state, lang).to_owned()),
            (name("etag", "etag"), shape.etag.clone()),
            (name("listing", "名单编号"), shape.listing.map(|number| number.to_string()).unwrap_or_default()),
            (name("listing's state", "名单状态"), words::listing_state(listing_state, lang).to_owned()),
            (name("listing's etag", "名单 etag"), shape.listing_etag.clone().unwrap_or_default()),
            (name("token", "位置标记"), shape.position.as_ref().map(|at| at.token.clone()).unwrap_or_default()),
        ]
    })?;
    Ok(Exit::Success)
}
