//! From each mutation's message to the ledger's command: one conversion per method.

use prost::Message;
use xinhub_api::convert::{self, Form, day, listing_number, optional_day};
use xinhub_api::reason::FieldFaults;
use xinhub_api::v1;
use xinhub_domain::listing::{Content, Decision};
use xinhub_domain::measure::Catalogue;
use xinhub_domain::time::Timestamp;
use xinhub_ledger::Command;

/// Longest note, in characters.
const MAX_NOTE_CHARS: usize = 4_000;
/// Longest ground or number of a document, in characters.
const MAX_SHORT_CHARS: usize = 200;

/// What a conversion depends on.
pub(super) struct Terms<'a> {
    /// Hub time.
    pub(super) now: Timestamp,
    /// The longest period of grace that policy allows, in days.
    pub(super) grace_max_days: u32,
    /// Measures and items that may be exempted from.
    pub(super) catalogue: &'a Catalogue,
}

/// A mutation, checked, with the soft warnings of its data.
pub(super) struct Converted {
    pub(super) command: Command,
    pub(super) warnings: Vec<String>,
}

impl From<Command> for Converted {
    fn from(command: Command) -> Self {
        Converted { command, warnings: Vec::new() }
    }
}

/// The message of one mutating method.
pub(super) trait Mutation: Message + Send + 'static {
    /// What it answers.
    type Response: Send;

    /// What every mutation carries.
    fn head(&mut self) -> &mut Option<v1::Mutation>;

    /// Its command.
    fn convert(&self, terms: &Terms<'_>) -> Result<Converted, FieldFaults>;

    /// The answer around an outcome.
    fn response(outcome: v1::MutationOutcome) -> Self::Response;
}

macro_rules! mutation {
    ($request:ident => $response:ident, |$message:ident, $terms:ident| $convert:expr) => {
        impl Mutation for v1::$request {
            type Response = v1::$response;

            fn head(&mut self) -> &mut Option<v1::Mutation> {
                &mut self.mutation
            }

            fn convert(&self, $terms: &Terms<'_>) -> Result<Converted, FieldFaults> {
                let $message = self;
                $convert
            }

            fn response(outcome: v1::MutationOutcome) -> v1::$response {
                v1::$response { outcome: Some(outcome) }
            }
        }
    };
}

mutation!(NoticeRequest => NoticeResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let content = faults.take(content(m.content.as_ref(), Form::Notice, terms));
    let served_on = faults.take(optional_day(&m.served_on, "served_on"));
    if served_on.flatten().is_some_and(|day| day > terms.now.day()) {
        faults.add("served_on", "lies in the future");
    }
    done(faults, content, |(mut content, warnings)| {
        content.notice_served_on = served_on.flatten().or(content.notice_served_on);
        Converted { command: Command::Notice { content }, warnings }
    })
});

mutation!(ProposeRequest => ProposeResponse, |m, terms| {
    let (content, warnings) = content(m.content.as_ref(), Form::Decision, terms)?;
    Ok(Converted { command: Command::Propose { listing: noticed(m.listing), content, application: noticed(m.application) }, warnings })
});

mutation!(PublishRequest => PublishResponse, |m, terms| {
    let (content, warnings) = content(m.content.as_ref(), Form::Decision, terms)?;
    Ok(Converted { command: Command::Publish { listing: noticed(m.listing), content, application: noticed(m.application) }, warnings })
});

mutation!(ApproveRequest => ApproveResponse, |m, _terms| {
    Ok(Command::Approve { listing: listing_number(m.listing, "listing")? }.into())
});

mutation!(RejectRequest => RejectResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let note = note(&m.note, &mut faults);
    done(faults, listing, |listing| Command::Reject { listing, note }.into())
});

mutation!(WithdrawRequest => WithdrawResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let note = note(&m.note, &mut faults);
    done(faults, listing, |listing| Command::Withdraw { listing, note }.into())
});

mutation!(ServeRequest => ServeResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let served_on = faults.take(day(&m.served_on, "served_on"));
    let grace_days = count(m.grace_days, "grace_days", terms.grace_max_days, &mut faults);
    done(faults, listing.zip(served_on), |(listing, served_on)| Command::Serve { listing, served_on, grace_days }.into())
});

mutation!(AmendRequest => AmendResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let content = faults.take(content(m.content.as_ref(), Form::Correction, terms));
    done(faults, listing.zip(content), |(listing, (content, warnings))| Converted {
        command: Command::Amend { listing, content },
        warnings,
    })
});

mutation!(RectifyRequest => RectifyResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let content = faults.take(content(m.content.as_ref(), Form::Correction, terms));
    let note = note(&m.note, &mut faults);
    done(faults, listing.zip(content), |(listing, (content, warnings))| Converted {
        command: Command::Rectify { listing, content, note },
        warnings,
    })
});

mutation!(HideRequest => HideResponse, |m, _terms| {
    lift(m.listing, &m.ground, |listing, ground| Command::Hide { listing, ground })
});

mutation!(RevokeRequest => RevokeResponse, |m, _terms| {
    lift(m.listing, &m.ground, |listing, ground| Command::Revoke { listing, ground })
});

mutation!(RemoveRequest => RemoveResponse, |m, _terms| {
    lift(m.listing, &m.ground, |listing, ground| Command::Remove { listing, ground })
});

mutation!(RestoreRequest => RestoreResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let decision = faults.take(convert::decision(m.decision.as_ref(), terms.now));
    check_grace(decision.as_ref(), "decision.grace_days", terms, &mut faults);
    done(faults, listing.zip(decision), |(listing, decision)| {
        Command::Restore { listing, decision: Box::new(decision) }.into()
    })
});

mutation!(ExtendRequest => ExtendResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let months = count(m.months, "months", xinhub_domain::listing::MAX_EXTENSION_MONTHS, &mut faults);
    let ground = short(&m.ground, "ground", &mut faults);
    done(faults, listing, |listing| Command::Extend { listing, months, ground }.into())
});

mutation!(ExemptRequest => ExemptResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let exemption = faults.take(convert::exemption(m.content.as_ref(), terms.now));
    if let Some(exemption) = &exemption {
        check_exempted(&exemption.measures, &exemption.items, terms.catalogue, &mut faults);
    }
    done(faults, listing.zip(exemption), |(listing, exemption)| {
        Command::Exempt { listing, exemption: Box::new(exemption) }.into()
    })
});

mutation!(EndExemptionRequest => EndExemptionResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let exemption = faults.take(listing_number(m.exemption, "exemption"));
    done(faults, listing.zip(exemption), |(listing, exemption)| Command::EndExemption { listing, exemption }.into())
});

mutation!(SetRelationRequest => SetRelationResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let relation = faults.take(convert::relation(m.content.as_ref(), terms.now));
    done(faults, listing.zip(relation), |(listing, (relation, warnings))| Converted {
        command: Command::SetRelation { listing, relation: Box::new(relation) },
        warnings: warnings.into_iter().map(|warning| format!("content.{warning}")).collect(),
    })
});

mutation!(EndRelationRequest => EndRelationResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let relation = faults.take(listing_number(m.relation, "relation"));
    let basis_document = short(&m.basis_document, "basis_document", &mut faults);
    done(faults, listing.zip(relation), |(listing, relation)| {
        Command::EndRelation { listing, relation, basis_document }.into()
    })
});

mutation!(WidenGraceRequest => WidenGraceResponse, |m, terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let grace_days = count(m.grace_days, "grace_days", terms.grace_max_days, &mut faults);
    done(faults, listing, |listing| Command::WidenGrace { listing, grace_days }.into())
});

mutation!(GiveReasonRequest => GiveReasonResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let ground = short(&m.ground, "ground", &mut faults);
    let note = note(&m.note, &mut faults);
    done(faults, listing, |listing| Command::GiveReason { listing, ground, note }.into())
});

mutation!(RecordPerformanceRequest => RecordPerformanceResponse, |m, _terms| {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(m.listing, "listing"));
    let performed_on = faults.take(day(&m.performed_on, "performed_on"));
    let note = note(&m.note, &mut faults);
    done(faults, listing.zip(performed_on), |(listing, performed_on)| {
        Command::RecordPerformance { listing, performed_on, note }.into()
    })
});

/// 0 is none, such as a new listing.
fn noticed(listing: u64) -> Option<u64> {
    (listing != 0).then_some(listing)
}

fn done<T>(
    faults: FieldFaults,
    whole: Option<T>,
    command: impl FnOnce(T) -> Converted,
) -> Result<Converted, FieldFaults> {
    match whole {
        Some(whole) if faults.is_empty() => Ok(command(whole)),
        // What is missing was noted as a fault.
        Some(_) | None => Err(faults),
    }
}

/// A lift is taken without a ground, or with one that doesn't fit: then a reason is owed.
fn lift(number: u64, ground: &str, command: impl FnOnce(u64, String) -> Command) -> Result<Converted, FieldFaults> {
    let mut faults = FieldFaults::default();
    let listing = faults.take(listing_number(number, "listing"));
    let ground = short(ground, "ground", &mut faults);
    done(faults, listing, |listing| command(listing, ground).into())
}

fn content(
    message: Option<&v1::ListingContent>,
    form: Form,
    terms: &Terms<'_>,
) -> Result<(Box<Content>, Vec<String>), FieldFaults> {
    let (content, warnings) = convert::content(message, form, terms.now)?;
    let mut faults = FieldFaults::default();
    check_grace(content.decision.as_ref(), "content.decision.grace_days", terms, &mut faults);
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok((Box::new(content), warnings.into_iter().map(|warning| format!("content.{warning}")).collect()))
}

fn check_grace(decision: Option<&Decision>, path: &str, terms: &Terms<'_>, faults: &mut FieldFaults) {
    if decision.is_some_and(|decision| decision.grace_days > terms.grace_max_days) {
        faults.add(path, format!("is at most {} by this hub's policy", terms.grace_max_days));
    }
}

fn check_exempted(measures: &[String], items: &[String], catalogue: &Catalogue, faults: &mut FieldFaults) {
    for (at, code) in measures.iter().enumerate() {
        if catalogue.measure(code).is_none() {
            faults.add(format!("content.measures[{at}]"), "is not in the hub's catalogue");
        }
    }
    // Items narrow every measure that is named: one that has none of them would silently stay in force.
    for (at, measure) in measures.iter().enumerate().filter_map(|(at, code)| Some((at, catalogue.measure(code)?))) {
        if !items.is_empty() && !items.iter().any(|code| measure.item(code).is_some()) {
            faults.add(format!("content.measures[{at}]"), "has none of these items: exempt it by itself");
        }
    }
    let named = || measures.iter().filter_map(|code| catalogue.measure(code));
    for (at, code) in items.iter().enumerate() {
        if !measures.is_empty() && !named().any(|measure| measure.item(code).is_some()) {
            faults.add(format!("content.items[{at}]"), "is an item of none of these measures");
        }
    }
}

fn count(value: i32, path: &str, most: u32, faults: &mut FieldFaults) -> u32 {
    match u32::try_from(value) {
        Ok(value) if value <= most => value,
        Ok(_) | Err(_) => {
            faults.add(path, format!("is 0 to {most}"));
            0
        }
    }
}

pub(super) fn short(text: &str, path: &str, faults: &mut FieldFaults) -> String {
    bounded(text, path, MAX_SHORT_CHARS, faults)
}

pub(super) fn note(text: &str, faults: &mut FieldFaults) -> Option<String> {
    let note = bounded(text, "note", MAX_NOTE_CHARS, faults);
    (!note.is_empty()).then_some(note)
}

fn bounded(text: &str, path: &str, max_chars: usize, faults: &mut FieldFaults) -> String {
    let text = text.trim();
    if text.len() > 4 * max_chars || text.chars().count() > max_chars {
        faults.add(path, format!("has more than {max_chars} characters"));
    } else if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        faults.add(path, "holds control characters");
    }
    text.to_owned()
}

#[cfg(test)]
#[path = "commands_tests.rs"]
mod tests;
