//! From the conduct in a court's row (`disruptTypeName`) to a ground of 法释〔2017〕7号 art. 1, for migration imports.
//!
//! Texts match whole, after folding width and dropping the closing 的: a near miss is reported, never guessed, because
//! the ground decides how long somebody stays listed.

use std::collections::HashMap;

use crate::listing::Ground;
use crate::text::half_width_trimmed;

/// The wordings of the statute, and those that courts' rows commonly carry for them.
const SHIPPED: &[(&str, Ground)] = &[
    ("有履行能力而拒不履行生效法律文书确定义务", Ground::AbleButRefuses),
    ("其他有履行能力而拒不履行生效法律文书确定义务", Ground::AbleButRefuses),
    ("被执行人有履行能力而拒不履行生效法律文书确定义务", Ground::AbleButRefuses),
    ("以伪造证据、暴力、威胁等方法妨碍、抗拒执行", Ground::EvidenceOrViolence),
    ("伪造证据妨碍、抗拒执行", Ground::EvidenceOrViolence),
    ("以伪造证据妨碍、抗拒执行", Ground::EvidenceOrViolence),
    ("暴力、威胁方法妨碍、抗拒执行", Ground::EvidenceOrViolence),
    ("以暴力、威胁方法妨碍、抗拒执行", Ground::EvidenceOrViolence),
    ("以虚假诉讼、虚假仲裁或者以隐匿、转移财产等方法规避执行", Ground::HidingAssets),
    ("虚假诉讼、虚假仲裁规避执行", Ground::HidingAssets),
    ("以虚假诉讼规避执行", Ground::HidingAssets),
    ("以虚假仲裁规避执行", Ground::HidingAssets),
    ("隐匿、转移财产规避执行", Ground::HidingAssets),
    ("以隐匿、转移财产规避执行", Ground::HidingAssets),
    ("违反财产报告制度", Ground::AssetReport),
    ("违反限制消费令", Ground::ConsumptionRestriction),
    ("违反限制高消费令", Ground::ConsumptionRestriction),
    ("无正当理由拒不履行执行和解协议", Ground::SettlementRefused),
];

/// Several kinds of conduct in one cell are set apart by one of these. Not by `、`, which stands inside the wordings.
const SEPARATORS: [char; 4] = [',', ';', '；', '|'];

#[derive(Clone, Debug)]
pub(super) struct Grounds(HashMap<String, Ground>);

impl Grounds {
    pub(super) fn shipped() -> Grounds {
        Grounds(SHIPPED.iter().map(|(text, ground)| (fold(text), *ground)).collect())
    }

    pub(super) fn set(&mut self, text: &str, ground: Ground) {
        self.0.insert(fold(text), ground);
    }

    pub(super) fn ground(&self, conduct: &str) -> Option<Ground> {
        if let Some(ground) = self.0.get(&fold(conduct)) {
            return Some(*ground);
        }
        let folded = half_width_trimmed(conduct);
        let mut parts = folded.split(SEPARATORS).map(str::trim).filter(|part| !part.is_empty());
        let first = self.0.get(&fold(parts.next()?)).copied()?;
        parts.all(|part| self.0.get(&fold(part)) == Some(&first)).then_some(first)
    }
}

fn fold(text: &str) -> String {
    let text = half_width_trimmed(text);
    let text = text.trim_end_matches(['。', '；', ';', ',', '.']).trim_end();
    text.strip_suffix('的').unwrap_or(text).to_owned()
}
