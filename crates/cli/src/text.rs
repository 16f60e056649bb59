//! What an answer means, in words for the person at the desk. Codes stay codes; these texts explain them.

use xinhub_client::v1;
use xinhub_client::v1::{AnswerReason, Effect, OnUnknown, Relation, Verdict};

use crate::lang::Lang;

/// What the verdict asks of the caller.
pub(crate) fn verdict(answer: &v1::Answer, lang: Lang) -> String {
    match answer.verdict() {
        Verdict::Clear => lang
            .pick(
                "No listing in force restricts this purpose. This says nothing about solvency, character or other purposes.",
                "没有有效的名单信息限制此用途。这不说明其偿付能力、品行，也不涉及其他用途。",
            )
            .to_owned(),
        Verdict::Restricted => effect(answer, lang),
        Verdict::Consider => {
            let note = lang.pick(
                " A person decides; the listing is one fact among others.",
                "由人工决定；名单信息只是参考事实之一。",
            );
            format!("{}{note}", effect(answer, lang))
        }
        Verdict::Unknown | Verdict::Unspecified => {
            let unknown = lang.pick("The hub can't say. This is never a restriction.", "平台无法判断。这绝不构成限制。");
            format!("{unknown}{}", on_unknown(answer.on_unknown(), lang))
        }
    }
}

fn effect(answer: &v1::Answer, lang: Lang) -> String {
    let (en, zh) = match answer.effect() {
        Effect::Prohibit => ("The purpose must be refused.", "应当拒绝。"),
        Effect::Suspend => ("What was granted must be suspended.", "应当中止。"),
        Effect::Terminate => ("What was granted must be terminated.", "应当终止。"),
        Effect::Withdraw => ("What was granted must be withdrawn.", "应当撤销已授予的事项。"),
        Effect::Limit => return limit(answer.limit_fen, lang),
        Effect::Reference => ("To be taken into account with care.", "作审慎性参考。"),
        Effect::StrictReview => ("To be reviewed more strictly.", "从严审核。"),
        Effect::Supervise => ("To be inspected more often.", "加强日常监管检查。"),
        Effect::Inform => (
            "An officer is listed; the organisation asked about is not.",
            "其任职人员已列入名单；所查询的单位本身未列入。",
        ),
        Effect::Unspecified => ("The purpose is restricted by court order.", "此用途依法院命令受到限制。"),
    };
    // A caller that considers is told no effect where its grant leaves it out.
    if answer.effect() == Effect::Unspecified && answer.verdict() == Verdict::Consider {
        return String::new();
    }
    lang.pick(en, zh).to_owned()
}

fn limit(fen: i64, lang: Lang) -> String {
    let amount = yuan(fen);
    match lang {
        Lang::En => format!("Limited to {amount} yuan."),
        Lang::Zh => format!("限额{amount}元。"),
    }
}

/// Fen as yuan with two places.
pub(crate) fn yuan(fen: i64) -> String {
    format!("{}.{:02}", fen / 100, fen.rem_euclid(100))
}

fn on_unknown(what: OnUnknown, lang: Lang) -> &'static str {
    match what {
        OnUnknown::Unspecified => "",
        OnUnknown::Proceed => lang.pick(" Go on as if there were no listing.", "请照常办理。"),
        OnUnknown::AskAgainThenPerson => {
            lang.pick(" Ask again; if it stays so, a person decides.", "请再次查询；仍无法判断的，由人工决定。")
        }
        OnUnknown::RetryUntilCutoff => lang.pick(
            " Ask again until the cut-off, and keep the evidence that you did.",
            "请在截止时间前重复查询，并保留查询记录。",
        ),
    }
}

/// Why the hub answered so.
pub(crate) fn reason(answer: &v1::Answer, lang: Lang) -> String {
    let (en, zh) = match answer.reason() {
        AnswerReason::Unspecified => ("", ""),
        AnswerReason::NotListed => ("Not on the list.", "不在名单中。"),
        AnswerReason::OutOfScope => (
            "The item, the kind of subject or a condition lies outside the measure.",
            "事项、主体类型或条件不在该措施范围内。",
        ),
        AnswerReason::Minor => ("No measure asks about a child.", "任何措施均不查询未成年人。"),
        AnswerReason::Exempt => ("Exempted by the court for a time.", "经法院批准暂予豁免。"),
        AnswerReason::ListedDebtor => ("Listed as a debtor.", "本身已列入名单。"),
        AnswerReason::RelatedPerson => {
            ("Related to a listed organisation; not itself listed.", "与已列入名单的单位有关联；本人未列入名单。")
        }
        AnswerReason::OfficerListed => ("An officer named in the request is listed.", "所列任职人员中有人已列入名单。"),
        AnswerReason::ConditionOpen => {
            ("A condition has to be established first; it is named below.", "须先查明下列条件。")
        }
        AnswerReason::IdentityNotConfirmed => (
            "The identity is not confirmed: the name differs, or the number is flagged or ambiguous.",
            "身份未能确认：姓名不符，或号码存疑。",
        ),
        AnswerReason::NameNotChecked => ("The name can't be compared just now.", "暂时无法核对姓名。"),
        AnswerReason::ClockUnsure => {
            ("The hub's clock is unsure, and the term may be over.", "平台时钟存疑，期限可能已届满。")
        }
        AnswerReason::NotFresh => {
            ("The replica may be out of date, and the hub is not reached.", "本地副本可能已过期，且无法连接平台。")
        }
        AnswerReason::CourtOrder => ("Restricted by court order.", "依法院命令受到限制。"),
    };
    lang.pick(en, zh).to_owned()
}

/// How a person stands to a listing.
pub(crate) fn relation(value: Relation, lang: Lang) -> &'static str {
    let (en, zh) = match value {
        Relation::Unspecified => ("", ""),
        Relation::Debtor => ("debtor", "被执行人"),
        Relation::LegalRepresentative => ("legal representative", "法定代表人"),
        Relation::Principal => ("principal", "主要负责人"),
        Relation::ActualController => ("actual controller", "实际控制人"),
        Relation::DirectlyResponsible => ("directly responsible person", "影响债务履行的直接责任人员"),
    };
    lang.pick(en, zh)
}

/// What a lift without a reason leaves to do.
pub(crate) fn reason_owed(lang: Lang) -> &'static str {
    lang.pick(
        "the lift went through; a lawful reason for it is owed (see --ground)",
        "解除已生效；尚须补充法定理由（见 --ground）",
    )
}

/// A lift that was applied though the etag was old.
pub(crate) fn stale(lang: Lang) -> &'static str {
    lang.pick("the etag was not the listing's last; the lift was applied all the same", "etag 并非最新；解除仍已生效")
}

/// An outcome that was kept from before.
pub(crate) fn replayed(lang: Lang) -> &'static str {
    lang.pick("this request id was used before; nothing was changed again", "此 request id 已使用过；未再作更改")
}

/// A petition that came after the party's own deadline.
pub(crate) fn late(lang: Lang) -> &'static str {
    lang.pick(
        "it came after the party's own deadline; it is taken all the same, and marked",
        "已逾申请期限；仍予受理并作标注",
    )
}
