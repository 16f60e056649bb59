//! Rows of the list itself.

use std::borrow::Cow;
use std::sync::Arc;

use csv::StringRecord;
use jiff::civil::Date;

use super::{Header, Layout, MarkFault, Mode, Problems, RowFault, RowReason};
use crate::case_number::CaseNumber;
use crate::closed::closed;
use crate::identity::{Kind, Sex, Subject, fitting_kinds};
use crate::listing::{Content, Draft, DraftDecision, FIXED_TERM_MONTHS, Ground, RawIdentity, Stage};
use crate::policy::Policy;
use crate::text::half_width_trimmed;
use crate::time::{Day, Timestamp};

closed! {
    /// The columns in which the courts exchange the list, and behind them those of [`Mode::Current`] and [`Mode::Complete`].
    ListingColumn {
        /// The subject's name.
        Iname = "iname",
        /// 男, 女 or empty.
        Sexy = "sexy",
        /// In years.
        Age = "age",
        /// ID or code.
        CardNum = "cardNum",
        /// 案号.
        CaseCode = "caseCode",
        /// The court, which must be the sender.
        CourtName = "courtName",
        /// The province.
        AreaName = "areaName",
        /// Number of the basis document.
        GistId = "gistId",
        /// Who issued it.
        GistUnit = "gistUnit",
        /// The obligation.
        Duty = "duty",
        /// State of performance.
        Performance = "performance",
        /// What was performed.
        PerformedPart = "performedPart",
        /// What was not.
        UnperformPart = "unperformPart",
        /// The conduct.
        DisruptTypeName = "disruptTypeName",
        /// When it was published.
        PublishDate = "publishDate",
        /// When the enforcement case was filed.
        RegDate = "regDate",
        /// The legal representative's name.
        BusinessEntity = "businessEntity",
        /// Person or organisation.
        PartyTypeName = "partyTypeName",
        /// Number of the decision to list.
        DecisionNo = "decisionNo",
        /// Its date.
        DecisionDate = "decisionDate",
        /// When it was served; empty: not yet.
        ServedDate = "servedDate",
        /// Its term in months; empty or 0 for ground ①.
        TermMonths = "termMonths",
        /// Who signed it.
        Signer = "signer",
        /// 1 to 6.
        Ground = "ground",
        /// When the risk notice was served. The column may be left out, and a row's value where the case stands as noticed.
        NoticeServedDate = "noticeServedDate",
    }
}

impl ListingColumn {
    /// The columns of a file in this mode, in their usual order.
    pub fn of(mode: Mode) -> &'static [ListingColumn] {
        match mode {
            Mode::Migration => &Self::ALL[..Self::DecisionNo as usize],
            Mode::Current | Mode::Complete => Self::ALL,
        }
    }
}

/// Turns the rows of one listings file into contents.
#[derive(Debug)]
pub struct ListingRows {
    layout: Layout,
    mode: Mode,
    signer: String,
    court_name: String,
    /// Before it, a migration row may skip the risk notice.
    go_live: Option<Day>,
    policy: Arc<Policy>,
}

impl ListingRows {
    /// For a file with this header and column row. The policy knows the court's name, and the grounds of a migration.
    ///
    /// # Errors
    ///
    /// Names every column that is unknown, missing or there twice; or the court is not in the policy.
    pub fn new(header: &Header, columns: &StringRecord, policy: Arc<Policy>) -> Result<ListingRows, MarkFault> {
        let court = policy.court(&header.court);
        let court = court.ok_or_else(|| MarkFault("court: is not in the hub's policy".to_owned()))?;
        Ok(ListingRows {
            layout: layout(header.mode, columns)?,
            mode: header.mode,
            signer: header.signer.clone(),
            court_name: half_width_trimmed(court.name_zh()),
            go_live: check_mode(header.mode, &policy)?,
            policy,
        })
    }

    /// Whether the policy takes files in this mode.
    ///
    /// # Errors
    ///
    /// A migration under a policy that does not say until when one may be.
    pub fn check_mode(mode: Mode, policy: &Policy) -> Result<(), MarkFault> {
        check_mode(mode, policy).map(|_| ())
    }

    /// Whether a file in this mode may have this column row.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn check_columns(mode: Mode, columns: &StringRecord) -> Result<(), MarkFault> {
        layout(mode, columns).map(|_| ())
    }

    /// The content of one row, with its soft warnings; `now` decides what lies in the future and who is a minor.
    ///
    /// # Errors
    ///
    /// Every fault of the row at once.
    pub fn content(&self, row: &StringRecord, now: Timestamp) -> Result<(Content, Vec<String>), RowFault> {
        self.layout.check_width(row)?;
        let mut problems = Problems::default();
        let draft = self.draft(row, now.date(), &mut problems);
        match Content::check(&draft, Stage::Decision, now) {
            Ok(checked) if problems.0.is_empty() => Ok(checked),
            Ok(_) => Err(problems.into_fault()),
            Err(faults) => {
                problems.extend(faults, |field| self.column_of(field).as_str());
                Err(problems.into_fault())
            }
        }
    }

    /// The case that a row names, whatever else is wrong with it; `None` where not even that can be told.
    pub fn case_number(&self, row: &StringRecord) -> Option<CaseNumber> {
        self.layout.check_width(row).ok()?;
        CaseNumber::parse(self.text(row, ListingColumn::CaseCode)).ok()
    }

    fn text<'a>(&self, row: &'a StringRecord, column: ListingColumn) -> &'a str {
        self.layout.text(row, column as usize)
    }

    fn draft(&self, row: &StringRecord, today: Date, problems: &mut Problems) -> Draft {
        use ListingColumn as C;
        let text = |column| self.text(row, column).to_owned();
        let court_name = self.text(row, C::CourtName);
        if court_name != self.court_name && half_width_trimmed(court_name) != self.court_name {
            let problem = "is not the sender's name as the hub knows it; a court sends its own listings only";
            problems.add(C::CourtName.as_str(), RowReason::OtherCourt, problem);
        }
        let subject = self.subject(row, problems);
        let identity = subject.and_then(|subject| {
            let number = self.text(row, C::CardNum);
            identity(number, subject, today)
                .map_err(|problem| problems.add(C::CardNum.as_str(), RowReason::Identity, problem))
                .ok()
        });
        let ground = self.ground(row, problems);
        let published_on = normal_day(self.text(row, C::PublishDate));
        let decision = self.decision(row, ground, &published_on, problems);
        let notice_served_on = normal_day(self.text(row, C::NoticeServedDate));
        self.check_way_in(&decision.date, &notice_served_on, problems);
        Draft {
            identities: identity.into_iter().collect(),
            name: text(C::Iname),
            sex: self.sex(row, problems),
            age: self.number(row, C::Age, problems),
            representative_name: text(C::BusinessEntity),
            decision: Some(decision),
            ground: ground.map_or(0, |ground| ground as u8),
            case_number: text(C::CaseCode),
            basis_document: text(C::GistId),
            basis_issuer: text(C::GistUnit),
            filed_on: normal_day(self.text(row, C::RegDate)).into_owned(),
            published_on: published_on.into_owned(),
            court_name: text(C::CourtName),
            area: text(C::AreaName),
            obligation: text(C::Duty),
            performance: text(C::Performance),
            performed_part: text(C::PerformedPart),
            unperformed_part: text(C::UnperformPart),
            conduct: text(C::DisruptTypeName),
            notice_served_on: notice_served_on.into_owned(),
            ..Draft::default()
        }
    }

    /// The row's own decision; in a migration the one that the header attests.
    fn decision(
        &self,
        row: &StringRecord,
        ground: Option<Ground>,
        published_on: &str,
        problems: &mut Problems,
    ) -> DraftDecision {
        use ListingColumn as C;
        match self.mode {
            Mode::Migration => DraftDecision {
                date: published_on.to_owned(),
                served_on: published_on.to_owned(),
                // 法释〔2017〕7号 art. 2: a fixed term is 2 years where no other was decided.
                term_months: if ground.is_some_and(Ground::has_fixed_term) { FIXED_TERM_MONTHS } else { 0 },
                signer: self.signer.clone(),
                attested: true,
                ..DraftDecision::default()
            },
            Mode::Current | Mode::Complete => DraftDecision {
                number: self.text(row, C::DecisionNo).to_owned(),
                date: normal_day(self.text(row, C::DecisionDate)).into_owned(),
                // The rows have no column for reasons: the conduct is what the decision found.
                reasons: self.text(row, C::DisruptTypeName).to_owned(),
                term_months: self.number(row, C::TermMonths, problems).unwrap_or(0),
                signer: self.text(row, C::Signer).to_owned(),
                served_on: normal_day(self.text(row, C::ServedDate)).into_owned(),
                ..DraftDecision::default()
            },
        }
    }

    /// Nobody is listed without a risk notice: of what was decided with this hub the row, or the ledger, knows the day, and it
    /// is not after the decision; only what was decided before the court went live may do without. What is no day is told by
    /// the content's check.
    fn check_way_in(&self, decided: &str, notice: &str, problems: &mut Problems) {
        let Ok(decided) = Day::parse(decided) else { return };
        if let Some(go_live) = self.go_live.filter(|go_live| decided >= *go_live) {
            let problem = format!(
                "lies on or after {go_live}, when the court went live: what was decided since then is proposed, published or \
                 imported in mode current, with its risk notice"
            );
            problems.add(ListingColumn::PublishDate.as_str(), RowReason::Field, problem);
        }
        if Day::parse(notice).is_ok_and(|notice| notice > decided) {
            let problem = "lies after decisionDate: the risk notice comes before the decision";
            problems.add(ListingColumn::NoticeServedDate.as_str(), RowReason::Field, problem);
        }
    }

    /// Person or organisation, as the courts write it and as the national site's codes do.
    fn subject(&self, row: &StringRecord, problems: &mut Problems) -> Option<Subject> {
        match self.text(row, ListingColumn::PartyTypeName) {
            "自然人" | "个人" | "0" | "580" => Some(Subject::Person),
            "法人或其他组织" | "法人或者其他组织" | "法人" | "其他组织" | "单位" | "企业法人" | "1" | "581" => {
                Some(Subject::Organisation)
            }
            _ => {
                let problem = "must be 自然人 or 法人或其他组织: without it the kind of the number can't be told";
                problems.add(ListingColumn::PartyTypeName.as_str(), RowReason::Field, problem);
                // The number can't be judged, and is not to be blamed for that.
                problems.add(ListingColumn::CardNum.as_str(), RowReason::Identity, "waits for partyTypeName");
                None
            }
        }
    }

    fn sex(&self, row: &StringRecord, problems: &mut Problems) -> Option<Sex> {
        match self.text(row, ListingColumn::Sexy) {
            "男" | "男性" => Some(Sex::Male),
            "女" | "女性" => Some(Sex::Female),
            "" | "0" | "无" | "未知" => None,
            _ => {
                problems.add(ListingColumn::Sexy.as_str(), RowReason::Field, "must be 男, 女 or empty");
                None
            }
        }
    }

    fn ground(&self, row: &StringRecord, problems: &mut Problems) -> Option<Ground> {
        match self.mode {
            Mode::Migration => {
                let column = ListingColumn::DisruptTypeName;
                let ground = self.policy.ground(self.text(row, column));
                if ground.is_none() {
                    let problem = "states no one ground that the hub's policy knows; have the operator add the \
                                   text to the policy, or send the row with its ground in mode current";
                    problems.add(column.as_str(), RowReason::Field, problem);
                }
                ground
            }
            Mode::Current | Mode::Complete => {
                let column = ListingColumn::Ground;
                let mut text = half_width_trimmed(self.text(row, column)).chars().collect::<Vec<char>>().into_iter();
                let ground = match (text.next(), text.next()) {
                    (Some(c @ '①'..='⑥'), None) => u8::try_from(u32::from(c) - u32::from('①') + 1).ok(),
                    (Some(c @ '1'..='6'), None) => c.to_digit(10).and_then(|digit| u8::try_from(digit).ok()),
                    (_, _) => None,
                };
                let ground = ground.and_then(Ground::from_number);
                if ground.is_none() {
                    problems.add(column.as_str(), RowReason::Field, "must be 1 to 6 (法释〔2017〕7号 art. 1)");
                }
                ground
            }
        }
    }

    fn number(&self, row: &StringRecord, column: ListingColumn, problems: &mut Problems) -> Option<u32> {
        let text = self.text(row, column);
        if text.is_empty() {
            return None;
        }
        match text.parse() {
            // An organisation's age is written 0.
            Ok(0) if column == ListingColumn::Age => None,
            Ok(number) => Some(number),
            Err(_) => {
                problems.add(column.as_str(), RowReason::Field, "must be a whole number, or empty");
                None
            }
        }
    }

    /// The column that a field of the content was taken from.
    fn column_of(&self, field: &str) -> ListingColumn {
        use ListingColumn as C;
        let in_decision = |current: C| match self.mode {
            Mode::Current | Mode::Complete => current,
            Mode::Migration => C::PublishDate,
        };
        match field {
            "name" => C::Iname,
            "birth_date" => C::Age,
            "representative_name" => C::BusinessEntity,
            "case_number" => C::CaseCode,
            "basis_document" => C::GistId,
            "basis_issuer" => C::GistUnit,
            "filed_on" => C::RegDate,
            "published_on" => C::PublishDate,
            "court_name" => C::CourtName,
            "area" => C::AreaName,
            "obligation" => C::Duty,
            "performance" => C::Performance,
            "performed_part" => C::PerformedPart,
            "unperformed_part" => C::UnperformPart,
            "conduct" | "decision.reasons" => C::DisruptTypeName,
            "decision.number" => in_decision(C::DecisionNo),
            "decision.date" => in_decision(C::DecisionDate),
            "decision.served_on" => in_decision(C::ServedDate),
            "decision.term_months" => in_decision(C::TermMonths),
            "decision.signer" => in_decision(C::Signer),
            "notice_served_on" => C::NoticeServedDate,
            "ground" => match self.mode {
                Mode::Current | Mode::Complete => C::Ground,
                Mode::Migration => C::DisruptTypeName,
            },
            // `identities` and what stands under it.
            _ => C::CardNum,
        }
    }
}

fn layout(mode: Mode, columns: &StringRecord) -> Result<Layout, MarkFault> {
    let known: Vec<&'static str> = ListingColumn::of(mode).iter().map(|column| column.as_str()).collect();
    let optional = ListingColumn::NoticeServedDate.as_str();
    let required: Vec<&'static str> = known.iter().copied().filter(|column| *column != optional).collect();
    Layout::parse(columns, &known, &required)
}

/// Until when a file in this mode may skip the risk notice; `None`: it never may.
fn check_mode(mode: Mode, policy: &Policy) -> Result<Option<Day>, MarkFault> {
    match (mode, policy.rules().go_live()) {
        (Mode::Current | Mode::Complete, _) => Ok(None),
        (Mode::Migration, Some(go_live)) => Ok(Some(go_live)),
        (Mode::Migration, None) => {
            let problem = "mode: the hub's policy names no `go_live`, the day before which decisions may be migrated without \
                           a risk notice; have the operator name it, or send the file in mode current";
            Err(MarkFault(problem.to_owned()))
        }
    }
}

/// The kind of a number from its form; where two fit, a person has to say.
pub(super) fn identity(number: &str, subject: Subject, today: Date) -> Result<RawIdentity, String> {
    let kind = match kind_by_length(number, subject) {
        Some(kind) => kind,
        None => match *fitting_kinds(number, subject, today) {
            [kind] => kind,
            [] => return Err(no_kind(subject).to_owned()),
            [first, second, ..] => {
                let (first, second) = (first.code(), second.code());
                return Err(format!(
                    "fits {first} as well as {second}; publish this one by a call, which names the kind"
                ));
            }
        },
    };
    let issuing_state = (kind == Kind::Passport).then(|| "CHN".to_owned());
    Ok(RawIdentity { kind, number: number.to_owned(), issuing_state })
}

fn no_kind(subject: Subject) -> &'static str {
    match subject {
        Subject::Person => {
            "is no person's number of a known form: 18 characters, 15 digits, a travel permit, a Chinese passport or a \
             permanent-resident card; publish another state's passport by a call, which names the state"
        }
        Subject::Organisation => "is no organisation's number: 18 characters (GB 32100) or 9 (GB 11714)",
    }
}

/// The kind of a number whose length and prefix tell it: nearly every row's. What is wrong inside the number is then told
/// by its own check, with the standard and the position.
fn kind_by_length(number: &str, subject: Subject) -> Option<Kind> {
    match (subject, number.chars().count()) {
        (Subject::Organisation, 18) => Some(Kind::Uscc),
        (Subject::Person, 15) if number.bytes().all(|c| c.is_ascii_digit()) => Some(Kind::ResidentId),
        (Subject::Person, 18) => {
            let folded = half_width_trimmed(number);
            match folded.get(..6) {
                Some("810000" | "820000" | "830000") => Some(Kind::ResidencePermit),
                Some(_) if folded.starts_with('9') => Some(Kind::PermanentResident),
                Some(_) | None => Some(Kind::ResidentId),
            }
        }
        (Subject::Organisation | Subject::Person, _) => None,
    }
}

/// A day as courts write it (`2023年04月05日`, `20230405`, `2023-04-05`) as `YYYY-MM-DD`; anything else as it is, for the
/// content's check to refuse.
pub(super) fn normal_day(text: &str) -> Cow<'_, str> {
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|c| c.is_ascii_digit());
    if digits(text, 8) && text.len() == 8 {
        return Cow::Owned(format!("{}-{}-{}", &text[..4], &text[4..6], &text[6..]));
    }
    let chinese = text.strip_suffix('日').and_then(|text| {
        let (year, rest) = text.split_once('年')?;
        let (month, day) = rest.split_once('月')?;
        (digits(year, 4) && digits(month, 2) && digits(day, 2)).then(|| format!("{year:0>4}-{month:0>2}-{day:0>2}"))
    });
    chinese.map_or(Cow::Borrowed(text), Cow::Owned)
}
