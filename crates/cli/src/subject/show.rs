//! A subject's view, for the clerk who hands it over and for programs.

use xinhub_client::v1;

use crate::codes::label;
use crate::exit::Failure;
use crate::lang::Lang;
use crate::output::{Format, Line, Out};
use crate::{deadlines, petition, shapes, text, words};

pub(super) fn view(view: v1::ViewSubjectResponse, out: &mut Out) -> Result<(), Failure> {
    if out.format == Format::Json {
        return out.json(&shapes::SubjectView::from(view));
    }
    let lang = out.lang;
    if view.listings.is_empty() && view.petitions.is_empty() && view.inquiries.is_empty() {
        return out.text(lang.pick(
            "No listing, petition or inquiry of this subject is on record.",
            "没有涉及该主体的名单信息、申请或者查询记录。",
        ));
    }
    for listing in &view.listings {
        out.record(&(), || lines(listing, lang))?;
    }
    if !view.petitions.is_empty() {
        out.text(lang.pick("What the subject has asked for:", "该主体提出的申请："))?;
        petition::table(&view.petitions, out)?;
    }
    if !view.inquiries.is_empty() {
        out.text(lang.pick("Who was told something adverse:", "获得不利答复的查询方："))?;
        inquiries(&view.inquiries, out)?;
    }
    if !view.next_page_token.is_empty() {
        let told = lang.pick("there are older ones: --page-token", "还有更早的查询：--page-token");
        eprintln!("{}: {told} {}", lang.pick("note", "注意"), view.next_page_token);
    }
    Ok(())
}

fn lines(listing: &v1::SubjectListing, lang: Lang) -> Vec<Line> {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let mut lines = vec![
        (name("listing", "名单编号"), listing.listing.to_string()),
        (name("state", "状态"), words::listing_state(listing.state(), lang).to_owned()),
        (name("court", "法院"), listing.court.clone()),
    ];
    lines.extend(listing.relations.iter().map(|one| (name("the subject is", "与名单的关系"), standing(one, lang))));
    if let Some(content) = &listing.content {
        let decision = content.decision.clone().unwrap_or_default();
        lines.extend([
            (name("case", "案号"), content.case_number.clone()),
            (name("ground", "列入情形"), if content.ground > 0 { content.ground.to_string() } else { String::new() }),
            (name("conduct", "失信行为"), content.conduct.clone()),
            (name("obligation", "义务"), content.obligation.clone()),
            (name("performance", "履行情况"), content.performance.clone()),
            (name("decision", "决定书"), format!("{} {}", decision.number, decision.date).trim().to_owned()),
            (name("served on", "送达日期"), decision.served_on),
            (name("published on", "发布日期"), content.published_on.clone()),
        ]);
    }
    lines.push((name("until", "期限"), listing.until.clone()));
    for exemption in &listing.exemptions {
        let content = exemption.content.clone().unwrap_or_default();
        let until = shapes::time(content.until).unwrap_or_default();
        let told = format!("{} {} {until}{}", content.ground, name("until", "至"), ended(exemption.ended, lang));
        lines.push((name("exempted", "豁免"), told));
    }
    lines.extend(listing.deadlines.iter().map(|one| (name("deadline", "期限事项"), deadlines::told(one, lang))));
    lines.extend(listing.duties.iter().map(|one| (name("duty", "单位待办"), duty(one, lang))));
    lines.extend(listing.measures.iter().map(|one| (name("measure", "惩戒措施"), measure(one, lang))));
    lines.push((name("was told to", "已告知"), listing.told.join("\n")));
    for deferral in &listing.deferrals {
        let since = shapes::time(deferral.time).unwrap_or_default();
        let ground = words::deferral_ground(&deferral.ground, lang);
        let told = format!("{since} {} {}: {ground}", name("until", "至"), deferral.until);
        lines.push((name("deferred", "曾暂缓告知"), told));
    }
    lines
}

fn ended(is: bool, lang: Lang) -> &'static str {
    if is { lang.pick(" (ended)", "（已结束）") } else { "" }
}

fn standing(one: &v1::SubjectRelation, lang: Lang) -> String {
    let relation = text::relation(one.relation(), lang);
    if one.corrected {
        return format!("{relation} {}", lang.pick("(by mistake; corrected)", "（有误，已更正）"));
    }
    let until = match one.until.as_str() {
        "" => String::new(),
        day => format!(" {} {day}", lang.pick("until", "至")),
    };
    format!("{relation}{until}{}", ended(one.ended, lang))
}

/// Who, and who answers for them.
fn who(client: &str, unit: &str) -> String {
    if unit.is_empty() { client.to_owned() } else { format!("{client} ({unit})") }
}

fn duty(one: &v1::UnitDuty, lang: Lang) -> String {
    let how = match one.closed_by.as_str() {
        "" => String::new(),
        code => format!(" ({})", words::closed_by(code, lang)),
    };
    let (what, state) = (words::clock(&one.clock, lang), words::duty_state(one.state(), lang));
    format!("{} {what}, {}: {state}{how}", one.due, who(&one.client, &one.supervising_unit))
}

fn measure(one: &v1::UnitMeasure, lang: Lang) -> String {
    let name = |en: &'static str, zh: &'static str| lang.pick(en, zh);
    let what = match one.item.as_str() {
        "" => one.measure.clone(),
        item => format!("{}/{item}", one.measure),
    };
    let mut told = format!("{what}, {}", who(&one.client, &one.supervising_unit));
    for (label, text) in [
        (name("imposed on", "采取于"), &one.imposed_on),
        (name("kept until", "保留至"), &one.retained_until),
        (name("on the basis of", "依据"), &one.legal_basis),
        (name("told on", "告知于"), &one.notified_on),
    ] {
        if !text.is_empty() {
            told = format!("{told}; {label} {text}");
        }
    }
    if one.lifted {
        format!("{told}; {}", name("lifted", "已解除"))
    } else {
        told + ended(one.retention_ended, lang)
    }
}

fn inquiries(inquiries: &[v1::AdverseInquiry], out: &mut Out) -> Result<(), Failure> {
    let lang = out.lang;
    let header = match lang {
        Lang::En => ["time", "who", "class", "measure", "verdict", "reason", "relation", "listing", "reference"],
        Lang::Zh => ["时间", "查询方", "类别", "措施", "结论", "理由", "关系", "名单编号", "编号"],
    };
    let rows = inquiries.iter().map(|one| {
        let measure = match one.item.as_str() {
            "" => one.measure.clone(),
            item => format!("{}/{item}", one.measure),
        };
        vec![
            shapes::time(one.time).unwrap_or_default(),
            one.client.clone(),
            one.class.clone(),
            measure,
            label::<v1::Verdict>(one.verdict).unwrap_or_default().to_owned(),
            label::<v1::AnswerReason>(one.reason).unwrap_or_default().to_owned(),
            text::relation(one.relation(), lang).to_owned(),
            if one.listing > 0 { one.listing.to_string() } else { String::new() },
            one.reference.clone(),
        ]
    });
    out.table(&header, rows)
}
