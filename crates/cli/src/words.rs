//! What the codes of due process mean, in words for a clerk. Codes stay codes in JSON, CSV and arguments.

use xinhub_client::v1::{
    DeadlineStatus, DutyState, ImportFile, ImportState, ListDifferenceKind, ListingState, ObjectionGround, PartyRole,
    PetitionKind, PetitionState, Visibility,
};

use crate::lang::Lang;

/// What has to be done by a day. A clock of a newer hub is told by its code.
pub(crate) fn clock(code: &str, lang: Lang) -> &str {
    let (en, zh) = match code {
        "decide_application" => ("decide the application", "审查纳入申请"),
        "object" => ("file an objection", "申请纠正"),
        "review" => ("review the objection", "审查纠正申请"),
        "ask_reconsideration" => ("ask for reconsideration", "申请复议"),
        "decide_reconsideration" => ("decide the reconsideration", "作出复议决定"),
        "give_reason" => ("give the reason for the lift", "补充解除理由"),
        "lift_measures" => ("lift measures", "解除惩戒措施"),
        "answer_complaint" => ("answer the complaint", "答复投诉"),
        "handle_notice" => ("handle the notice", "处理本单位通知"),
        "release" => ("release or reject", "审批发布"),
        "remove" => ("hide or remove the listing", "屏蔽或删除名单信息"),
        _ => return code,
    };
    lang.pick(en, zh)
}

/// How a duty was closed.
pub(crate) fn closed_by(code: &str, lang: Lang) -> &str {
    let (en, zh) = match code {
        "lifted" => ("lifted", "已解除"),
        "acknowledged" => ("nothing imposed", "确认无措施"),
        "retained" => ("retained", "继续保留"),
        "handled" => ("handled", "已处理"),
        "restored" => ("listed again", "名单已恢复"),
        "ended" => ("listing over", "名单已终止"),
        _ => return code,
    };
    lang.pick(en, zh)
}

/// Why who asked is kept out of a subject's view.
pub(crate) fn deferral_ground(code: &str, lang: Lang) -> &str {
    let (en, zh) = match code {
        "confidential_by_law" => ("the law demands secrecy", "法律、行政法规规定应当保密"),
        "impedes_duty" => ("telling would impede an official duty", "告知将妨碍履行法定职责"),
        _ => return code,
    };
    lang.pick(en, zh)
}

/// What a party asks for.
pub(crate) fn petition_kind(kind: PetitionKind, lang: Lang) -> &'static str {
    let (en, zh) = match kind {
        PetitionKind::Unspecified => ("", ""),
        PetitionKind::Application => ("application", "纳入申请"),
        PetitionKind::Objection => ("objection", "纠正申请"),
        PetitionKind::Complaint => ("complaint", "投诉"),
    };
    lang.pick(en, zh)
}

/// How far a petition has come.
pub(crate) fn petition_state(state: PetitionState, lang: Lang) -> &'static str {
    let (en, zh) = match state {
        PetitionState::Unspecified => ("", ""),
        PetitionState::Filed => ("filed", "已收件"),
        PetitionState::Refused => ("intake refused", "不予受理"),
        PetitionState::Upheld => ("upheld", "成立"),
        PetitionState::Dismissed => ("dismissed", "驳回"),
        PetitionState::UnderReconsideration => ("under reconsideration", "复议中"),
        PetitionState::Confirmed => ("dismissal confirmed", "复议维持"),
        PetitionState::Withdrawn => ("withdrawn", "已撤回"),
    };
    lang.pick(en, zh)
}

/// What an objection says of a listing.
pub(crate) fn objection_ground(ground: ObjectionGround, lang: Lang) -> &'static str {
    let (en, zh) = match ground {
        ObjectionGround::Unspecified => ("", ""),
        ObjectionGround::ShouldNotBeListed => ("should not be listed", "不应纳入名单"),
        ObjectionGround::DataWrong => ("data wrong", "信息有误"),
        ObjectionGround::ShouldBeDeleted => ("should be deleted", "应予删除"),
    };
    lang.pick(en, zh)
}

/// How a party stands to the listing.
pub(crate) fn party_role(role: PartyRole, lang: Lang) -> &'static str {
    let (en, zh) = match role {
        PartyRole::Unspecified => ("", ""),
        PartyRole::Debtor => ("debtor", "被执行人"),
        PartyRole::RelatedPerson => ("related person", "关联人员"),
        PartyRole::Creditor => ("creditor", "申请执行人"),
        PartyRole::NotMe => ("says: not me", "主张并非本人"),
    };
    lang.pick(en, zh)
}

/// How a day stands to today.
pub(crate) fn deadline_status(status: DeadlineStatus, lang: Lang) -> &'static str {
    let (en, zh) = match status {
        DeadlineStatus::Unspecified => ("", ""),
        DeadlineStatus::Running => ("running", "期限内"),
        DeadlineStatus::Due => ("due today", "今日到期"),
        DeadlineStatus::Overdue => ("overdue", "逾期"),
    };
    lang.pick(en, zh)
}

/// What is owed on a listing.
pub(crate) fn duty_state(state: DutyState, lang: Lang) -> &'static str {
    let (en, zh) = match state {
        DutyState::Unspecified => ("", ""),
        DutyState::None => ("nothing owed", "无待办"),
        DutyState::Open => ("open", "待办"),
        DutyState::Overdue => ("overdue", "逾期"),
        DutyState::Closed => ("closed", "已办结"),
    };
    lang.pick(en, zh)
}

/// How far a listing has come.
pub(crate) fn listing_state(state: ListingState, lang: Lang) -> &'static str {
    let (en, zh) = match state {
        ListingState::Unspecified => ("", ""),
        ListingState::Noticed => ("noticed", "已风险提示"),
        ListingState::Proposed => ("proposed", "待审批"),
        ListingState::Decided => ("decided, not yet served", "已决定，未送达"),
        ListingState::Grace => ("in grace", "宽限期内"),
        ListingState::Listed => ("listed", "已列入"),
        ListingState::Hidden => ("hidden", "已屏蔽"),
        ListingState::Withdrawn => ("withdrawn", "已撤回"),
        ListingState::Rejected => ("rejected", "不予批准"),
        ListingState::Revoked => ("revoked", "已撤销"),
        ListingState::Removed => ("removed", "已删除"),
        ListingState::Expired => ("expired", "已到期"),
    };
    lang.pick(en, zh)
}

/// Who may be shown a listing.
pub(crate) fn visibility(visibility: Visibility, lang: Lang) -> &'static str {
    let (en, zh) = match visibility {
        Visibility::Public | Visibility::Unspecified => ("public: everybody who asks", "公开：任何查询方"),
        Visibility::Departmental => ("departmental: units in their duties", "部门共享：依职责查询的单位"),
        Visibility::OwnUnitOnly => ("the subject's own unit alone, by notice", "仅通知当事人所在单位"),
    };
    lang.pick(en, zh)
}

/// Where a file that waits stands.
pub(crate) fn import_state(state: ImportState, lang: Lang) -> &'static str {
    match state {
        ImportState::Unspecified => "",
        ImportState::Staged => lang.pick("waits", "待批准"),
        ImportState::Released => lang.pick("being taken", "已批准，录入中"),
        ImportState::Confirmed => lang.pick("additions wait", "已确认，新增待批准"),
    }
}

/// How a complete list and the hub differ.
pub(crate) fn list_difference(kind: ListDifferenceKind, lang: Lang) -> &'static str {
    match kind {
        ListDifferenceKind::Unspecified => "",
        ListDifferenceKind::New => lang.pick("new", "新增"),
        ListDifferenceKind::Changed => lang.pick("changed", "更正"),
        ListDifferenceKind::Differing => lang.pick("left to a request", "须另行办理"),
        ListDifferenceKind::Gone => lang.pick("gone", "解除"),
        ListDifferenceKind::Newer => lang.pick("newer here", "本库较新"),
        ListDifferenceKind::Waiting => lang.pick("held", "待批准"),
    }
}

/// What a file holds.
pub(crate) fn import_file(file: ImportFile, lang: Lang) -> &'static str {
    match file {
        ImportFile::Unspecified => "",
        ImportFile::Listings => lang.pick("listings", "名单"),
        ImportFile::Relations => lang.pick("relations", "相关人员"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codes::Code;

    /// Every value has a text of its own in both languages.
    fn check<E: Code>(text: impl Fn(E, Lang) -> &'static str) {
        for lang in [Lang::En, Lang::Zh] {
            let mut texts: Vec<&str> = E::all().into_iter().map(|value| text(value, lang)).collect();
            let count = texts.len();
            texts.sort_unstable();
            texts.dedup();
            assert!(!texts.contains(&"") && texts.len() == count, "{}{lang:?}: {texts:?}", E::PREFIX);
        }
    }

    #[test]
    fn every_code_has_words_of_its_own() {
        check(petition_kind);
        check(petition_state);
        check(objection_ground);
        check(party_role);
        check(deadline_status);
        check(duty_state);
        check(listing_state);
        check(visibility);
        check(import_state);
        check(import_file);
    }

    #[test]
    fn every_clock_has_words() {
        for one in xinhub_domain::deadline::Clock::ALL {
            for lang in [Lang::En, Lang::Zh] {
                assert_ne!(clock(one.code(), lang), one.code(), "{lang:?}");
            }
        }
        assert_eq!(clock("of_a_newer_hub", Lang::Zh), "of_a_newer_hub");
        for code in ["lifted", "acknowledged", "retained", "handled", "restored", "ended"] {
            assert_ne!(closed_by(code, Lang::Zh), code);
        }
        for code in xinhub_domain::listing::DEFERRAL_GROUNDS {
            assert_ne!(deferral_ground(code, Lang::En), code);
        }
    }
}
