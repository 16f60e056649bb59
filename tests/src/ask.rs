//! Questions.

use xinhub_api::v1::condition_answer::Answer as Condition;
use xinhub_api::v1::{self, Capacity, CheckRequest, Inquiry};
use xinhub_client::Error;

use crate::Subject;

/// A question that is being put together.
#[derive(Clone, Debug, Default)]
pub struct Ask(CheckRequest);

impl Ask {
    /// Whether this measure reaches this subject.
    pub fn about(subject: &Subject, measure: &str) -> Ask {
        Ask::of(subject.identity(), measure)
    }

    /// Whether this measure reaches whoever has this identity.
    pub fn of(identity: v1::Identity, measure: &str) -> Ask {
        let inquiry = Inquiry { identity: Some(identity), ..Inquiry::default() };
        Ask(CheckRequest { inquiry: Some(inquiry), measure: measure.to_owned(), ..CheckRequest::default() })
    }

    fn inquiry(&mut self) -> &mut Inquiry {
        self.0.inquiry.get_or_insert_default()
    }

    /// For this item.
    #[must_use]
    pub fn item(mut self, item: &str) -> Ask {
        item.clone_into(&mut self.0.item);
        self
    }

    /// With a name to confirm.
    #[must_use]
    pub fn name(mut self, name: &str) -> Ask {
        name.clone_into(&mut self.inquiry().name);
        self
    }

    /// With an officer to look at.
    #[must_use]
    pub fn officer(mut self, capacity: Capacity, officer: &Subject) -> Ask {
        let officer = v1::Officer { capacity: capacity.into(), identity: Some(officer.identity()) };
        self.inquiry().officers.push(officer);
        self
    }

    /// With an answer to the measure's condition.
    #[must_use]
    pub fn given(mut self, condition: &str, answer: Condition) -> Ask {
        let condition = v1::ConditionAnswer { condition: condition.to_owned(), answer: Some(answer) };
        self.inquiry().conditions.push(condition);
        self
    }

    /// With the caller's own reference.
    #[must_use]
    pub fn reference(mut self, reference: &str) -> Ask {
        reference.clone_into(&mut self.inquiry().reference);
        self
    }

    /// By a state at least as new as this one.
    #[must_use]
    pub fn at_least(mut self, position: &v1::Position) -> Ask {
        self.0.consistency = Some(xinhub_client::at_least(position));
        self
    }

    /// As it goes over the wire.
    pub fn request(self) -> CheckRequest {
        self.0
    }

    /// The inquiry alone, as in a batch.
    pub fn into_inquiry(self) -> Inquiry {
        self.0.inquiry.unwrap_or_default()
    }

    /// Asks.
    ///
    /// # Errors
    /// Why it was refused.
    pub async fn response(self, client: &xinhub_client::Hub) -> Result<v1::CheckResponse, Error> {
        client.lookup().check(self.0).await
    }

    /// Asks, and expects an answer.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn answer(self, client: &xinhub_client::Hub) -> v1::Answer {
        self.response(client).await.unwrap().answer.unwrap()
    }

    /// Asks, and expects this verdict for this reason.
    ///
    /// # Panics
    /// Where it is refused, or answered otherwise.
    pub async fn expect(
        self,
        client: &xinhub_client::Hub,
        verdict: v1::Verdict,
        reason: v1::AnswerReason,
    ) -> v1::Answer {
        let answer = self.answer(client).await;
        assert_eq!((answer.verdict(), answer.reason()), (verdict, reason));
        answer
    }
}
