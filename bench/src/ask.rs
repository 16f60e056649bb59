//! What is asked of a hub, and the ways of asking: call by call, in batches, over a stream.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use xinhub_client::{Hub, v1};

use crate::Result;
use crate::load::{Burst, Call, Class, Line, Tally};
use crate::world::{MEASURE, World};

/// How many different questions are asked at most; with more, this program's own memory would be what is measured.
const MAX_QUESTIONS: usize = 100_000;
/// The first answer on a listing to a client is written to the journal too; so many are asked until all have been.
const MAX_LISTED_QUESTIONS: usize = 2_000;
/// Who is listed, in the generator's words.
const DEBTOR: &str = "debtor";

/// What is asked over and over, each with what the answer has to say.
#[derive(Clone)]
pub(crate) struct Questions {
    pub(crate) requests: Arc<[(v1::CheckRequest, v1::Verdict)]>,
}

impl Questions {
    /// What the empty RPC is asked, and answers.
    pub(crate) fn empty() -> Self {
        Self { requests: [(v1::CheckRequest::default(), v1::Verdict::Unspecified)].into() }
    }

    /// As many from the two as `percent` says, spread evenly.
    pub(crate) fn mixed(clear: &Self, listed: &Self, percent: usize) -> Self {
        let mut listed = listed.requests.iter().cycle();
        let mixed = clear.requests.iter().enumerate().map(|(at, clear)| {
            let adverse = (at + 1) * percent / 100 > at * percent / 100;
            if adverse { listed.next() } else { None }.unwrap_or(clear).clone()
        });
        Self { requests: mixed.collect() }
    }

    /// All but the last so many, or half where there are fewer than twice that; and those.
    pub(crate) fn without_last(&self, many: usize) -> (Self, Self) {
        let (first, last) = self.requests.split_at(self.requests.len() - many.min(self.requests.len() / 2));
        (Self { requests: first.into() }, Self { requests: last.into() })
    }

    fn at(&self, at: usize) -> &(v1::CheckRequest, v1::Verdict) {
        &self.requests[at % self.requests.len()]
    }

    /// As batches of so many.
    fn batches(&self, size: usize) -> Vec<(v1::BatchCheckRequest, Vec<v1::Verdict>)> {
        let batch = |first: usize| {
            let questions = (first..first + size).map(|at| self.at(at));
            let (inquiries, verdicts) =
                questions.filter_map(|(request, verdict)| Some((request.inquiry.clone()?, *verdict))).unzip();
            let request =
                v1::BatchCheckRequest { measure: MEASURE.to_owned(), inquiries, ..v1::BatchCheckRequest::default() };
            (request, verdicts)
        };
        (0..self.requests.len()).step_by(size).map(batch).collect()
    }
}

/// People who are on no list, and debtors, as the generator tells them.
pub(crate) fn questions(world: &World) -> Result<(Questions, Questions)> {
    if let Some(known) = world.questions.get() {
        return Ok(known.clone());
    }
    let (mut clear, mut listed) = (Vec::new(), Vec::new());
    for row in answers(world)? {
        let (kind, number, expected) = row?;
        let (questions, limit, verdict) = match expected.as_str() {
            "none" => (&mut clear, MAX_QUESTIONS, v1::Verdict::Clear),
            DEBTOR => (&mut listed, MAX_LISTED_QUESTIONS, v1::Verdict::Consider),
            // Of somebody who is only related, lending wants to know nothing.
            _ => continue,
        };
        if questions.len() < limit {
            questions.push((question(&kind, number)?, verdict));
        } else if clear.len() >= MAX_QUESTIONS && listed.len() >= MAX_LISTED_QUESTIONS {
            break;
        }
    }
    if clear.is_empty() || listed.is_empty() {
        return Err("too few rows: nobody to ask about".into());
    }
    let questions = (Questions { requests: clear.into() }, Questions { requests: listed.into() });
    Ok(world.questions.get_or_init(|| questions).clone())
}

/// So many debtors, if there are, who are not among those of [`questions`].
pub(crate) fn later_listed(world: &World, count: usize) -> Result<Vec<v1::CheckRequest>> {
    let debtors = answers(world)?.filter(|row| row.as_ref().is_ok_and(|(_, _, expected)| expected == DEBTOR));
    let later = debtors.skip(MAX_LISTED_QUESTIONS).take(count).map(|row| {
        let (kind, number, _) = row?;
        question(&kind, number)
    });
    later.collect()
}

/// Kinds and numbers, with what is to be found.
fn answers(world: &World) -> Result<impl Iterator<Item = Result<(String, String, String)>>> {
    let rows = csv::Reader::from_path(world.path("answers.csv"))?.into_deserialize();
    Ok(rows.map(|row| {
        let (kind, number, _, expected): (String, String, String, String) = row?;
        Ok((kind, number, expected))
    }))
}

pub(crate) fn question(kind: &str, number: String) -> Result<v1::CheckRequest> {
    let name = format!("IDENTITY_KIND_{}", kind.to_ascii_uppercase());
    let kind = v1::IdentityKind::from_str_name(&name).ok_or_else(|| format!("answers.csv: kind {kind}"))?;
    let identity = v1::Identity { kind: kind.into(), number, issuing_state: String::new() };
    let inquiry = v1::Inquiry { identity: Some(identity), ..v1::Inquiry::default() };
    Ok(v1::CheckRequest { inquiry: Some(inquiry), measure: MEASURE.to_owned(), ..v1::CheckRequest::default() })
}

/// About an organisation that doesn't exist, and is on no list.
pub(crate) fn nobody(measure: &str) -> Result<v1::CheckRequest> {
    let of_lending = question("uscc", "91110101000000019Y".to_owned())?;
    Ok(v1::CheckRequest { measure: measure.to_owned(), ..of_lending })
}

/// One check's answer.
pub(crate) async fn verdict(hub: &Hub, request: &v1::CheckRequest) -> Result<v1::Verdict> {
    let answer = hub.lookup().check(request.clone()).await?.answer;
    Ok(answer.map_or(v1::Verdict::Unspecified, |answer| answer.verdict()))
}

/// Whether an answer says what it has to, and so how it is timed.
fn judge(answer: Option<&v1::Answer>, expected: v1::Verdict) -> Result<Class> {
    let verdict = answer.map_or(v1::Verdict::Unspecified, v1::Answer::verdict);
    if verdict != expected {
        return Err(format!("an answer is {verdict:?}, expected {expected:?}").into());
    }
    Ok(if verdict == v1::Verdict::Consider { Class::Other } else { Class::Main })
}

/// `Check`.
pub(crate) fn checks(hub: &Hub, questions: &Questions) -> Line {
    let (lookup, questions) = (hub.lookup(), questions.clone());
    let call: Call = Arc::new(move |at| {
        let (lookup, (request, expected)) = (lookup.clone(), questions.at(at).clone());
        Box::pin(async move { judge(lookup.check(request).await?.answer.as_ref(), expected) })
    });
    Line::Calls(call)
}

/// `BatchCheck` of so many at a time.
pub(crate) fn batches(hub: &Hub, questions: &Questions, size: usize) -> Line {
    let (lookup, batches) = (hub.lookup(), Arc::new(questions.batches(size)));
    Line::Calls(Arc::new(move |at| {
        let (lookup, batches) = (lookup.clone(), Arc::clone(&batches));
        Box::pin(async move {
            let (request, expected) = &batches[at % batches.len()];
            let results = lookup.batch_check(request.clone()).await?.results;
            if results.len() != expected.len() {
                return Err(format!("{} answers to {} questions", results.len(), expected.len()).into());
            }
            for (result, expected) in results.iter().zip(expected) {
                let answer = match &result.result {
                    Some(v1::batch_check_result::Result::Answer(answer)) => Some(answer),
                    _ => None,
                };
                judge(answer, *expected)?;
            }
            Ok(Class::Main)
        })
    }))
}

/// `CheckStream`.
pub(crate) fn stream(hub: &Hub, questions: &Questions) -> Line {
    let (hub, questions) = (hub.clone(), questions.clone());
    Line::Pipe(Box::new(move |burst| Box::pin(async move { ask_over_stream(&hub, &questions, burst).await })))
}

async fn ask_over_stream(hub: &Hub, questions: &Questions, burst: Burst) -> Result<Tally> {
    let Burst { in_flight, first, end } = burst;
    let (sender, receiver) = mpsc::channel(in_flight);
    let ask = async |at: usize| {
        let check = Some(questions.at(at).0.clone());
        let request = v1::CheckStreamRequest { correlation_id: u64::try_from(at)?, check };
        sender.send(request).await.map_err(|_| "the stream has ended")?;
        Result::Ok(Instant::now())
    };
    let mut began = HashMap::with_capacity(in_flight);
    let mut next = first;
    for _ in 0..in_flight {
        began.insert(u64::try_from(next)?, ask(next).await?);
        next += 1;
    }
    let mut responses = hub.lookup().check_stream(ReceiverStream::new(receiver)).await?;
    let mut tally = Tally::new()?;
    while let Some(response) = responses.next().await? {
        let id = response.correlation_id;
        let began_at = began.remove(&id).ok_or("an answer to what was not asked")?;
        let answer = match &response.result {
            Some(v1::check_stream_response::Result::Response(response)) => response.answer.as_ref(),
            _ => None,
        };
        let class = judge(answer, questions.at(usize::try_from(id)?).1)?;
        tally.record(class, began_at.elapsed())?;
        if Instant::now() < end {
            began.insert(u64::try_from(next)?, ask(next).await?);
            next += 1;
        } else if began.is_empty() {
            return Ok(tally);
        }
    }
    Err("the hub has ended the stream".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mix_has_as_many_adverse_ones_as_wanted() {
        let of = |many: usize, verdict| {
            let request = v1::CheckRequest::default();
            Questions { requests: std::iter::repeat_n((request, verdict), many).collect() }
        };
        let (clear, listed) = (of(1_000, v1::Verdict::Clear), of(3, v1::Verdict::Consider));
        let check = |percent, expected: usize| {
            let mixed = Questions::mixed(&clear, &listed, percent);
            let adverse = mixed.requests.iter().filter(|(_, verdict)| *verdict == v1::Verdict::Consider).count();
            assert_eq!((mixed.requests.len(), adverse), (1_000, expected), "{percent} %");
        };
        check(0, 0);
        check(1, 10);
        check(50, 500);
        check(100, 1_000);
    }

    #[test]
    fn whom_a_court_lists_is_nobody_who_is_asked_about() {
        let check = |all: usize, many, expected: (usize, usize)| {
            let requests = std::iter::repeat_n((v1::CheckRequest::default(), v1::Verdict::Clear), all).collect();
            let (first, last) = Questions { requests }.without_last(many);
            assert_eq!((first.requests.len(), last.requests.len()), expected, "{many} of {all}");
        };
        check(10, 3, (7, 3));
        check(10, 8, (5, 5));
        check(1, 1, (1, 0));
    }
}
