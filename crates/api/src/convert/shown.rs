//! What is shown of a listing: all of it to its own court, to others what a published entry shows.

use xinhub_domain::identity::Sex;
use xinhub_domain::listing::{Bar, Content, Decision, Exemption, RelationContent, Visibility};
use xinhub_domain::time::Day;

use super::enums::relation_to;
use super::identity::{identity_to, identity_to_masked};
use super::timestamp_to;
use crate::v1;

/// A listing's content in full, for its own court.
pub fn content_to(content: &Content) -> v1::ListingContent {
    let day = |day: Option<Day>| day.map(|day| day.to_string()).unwrap_or_default();
    let sex = match content.sex {
        Some(Sex::Male) => v1::Sex::Male,
        Some(Sex::Female) => v1::Sex::Female,
        None => v1::Sex::Unspecified,
    };
    v1::ListingContent {
        identities: content.identities.iter().map(identity_to).collect(),
        name: content.name.as_str().to_owned(),
        sex: sex as i32,
        birth_date: day(content.birth_date),
        representative_name: content.representative_name.as_ref().map(|n| n.as_str().to_owned()).unwrap_or_default(),
        decision: content.decision.as_ref().map(decision_to),
        ground: content.ground.map_or(0, |ground| i32::from(ground as u8)),
        case_number: content.case_number.as_str().to_owned(),
        basis_document: content.basis_document.clone(),
        basis_issuer: content.basis_issuer.clone(),
        filed_on: day(content.filed_on),
        published_on: day(content.published_on),
        area: content.area.clone(),
        obligation: content.obligation.clone(),
        performance: content.performance.clone(),
        performed_part: content.performed_part.clone(),
        unperformed_part: content.unperformed_part.clone(),
        conduct: content.conduct.clone(),
        notice_served_on: day(content.notice_served_on),
        visibility: visibility_to(content.visibility) as i32,
        own_unit: content.own_unit.clone().unwrap_or_default(),
        bars: content.bars.iter().map(|bar| bar_to(*bar) as i32).collect(),
    }
}

fn bar_to(bar: Bar) -> v1::ListingBar {
    match bar {
        Bar::SecurityGiven => v1::ListingBar::SecurityGiven,
        Bar::SeizedCoversDebt => v1::ListingBar::SeizedCoversDebt,
        Bar::LaterInOrder => v1::ListingBar::LaterInOrder,
        Bar::NotAbleButRefuses => v1::ListingBar::NotAbleButRefuses,
    }
}

fn visibility_to(visibility: Visibility) -> v1::Visibility {
    match visibility {
        Visibility::Public => v1::Visibility::Public,
        Visibility::Departmental => v1::Visibility::Departmental,
        Visibility::OwnUnitOnly => v1::Visibility::OwnUnitOnly,
    }
}

/// A listing's content as a published entry shows it (法释〔2017〕7号 art. 6): numbers masked, without birth date and
/// without what stands in the decision alone.
pub fn content_to_published(content: &Content) -> v1::ListingContent {
    let decision = content.decision.as_ref().map(|decision| v1::Decision {
        number: decision.number.clone(),
        date: decision.date.to_string(),
        term_months: months(decision.term_months.map(|months| months + decision.extended_months)),
        ..v1::Decision::default()
    });
    v1::ListingContent {
        identities: content.identities.iter().map(identity_to_masked).collect(),
        birth_date: String::new(),
        decision,
        notice_served_on: String::new(),
        own_unit: String::new(),
        bars: Vec::new(),
        ..content_to(content)
    }
}

fn months(months: Option<u32>) -> i32 {
    months.map_or(0, |months| i32::try_from(months).unwrap_or(i32::MAX))
}

fn decision_to(decision: &Decision) -> v1::Decision {
    v1::Decision {
        number: decision.number.clone(),
        date: decision.date.to_string(),
        reasons: decision.reasons.clone(),
        term_months: months(decision.term_months),
        signer: decision.signer.clone(),
        served_on: decision.served_on.map(|day| day.to_string()).unwrap_or_default(),
        grace_days: i32::try_from(decision.grace_days).unwrap_or(i32::MAX),
    }
}

/// A related person in full, for the listing's court.
pub fn relation_content_to(relation: &RelationContent) -> v1::RelationContent {
    v1::RelationContent {
        relation: relation_to(relation.relation) as i32,
        identity: Some(identity_to(&relation.identity)),
        name: relation.name.as_str().to_owned(),
        basis_document: relation.basis_document.clone(),
        from: relation.from.to_string(),
        until: relation.until.map(|day| day.to_string()).unwrap_or_default(),
    }
}

/// An exemption in full, for the listing's court.
pub fn exemption_to(exemption: &Exemption) -> v1::ExemptionContent {
    v1::ExemptionContent {
        identity: Some(identity_to(&exemption.identity)),
        measures: exemption.measures.clone(),
        items: exemption.items.clone(),
        from: Some(timestamp_to(exemption.from)),
        until: Some(timestamp_to(exemption.until)),
        ground: exemption.ground.clone(),
        approver: exemption.approver.clone(),
    }
}
