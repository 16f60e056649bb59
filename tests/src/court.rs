//! What a court does, with a clerk behind it.

use xinhub_api::v1::{self, Decision, ListingContent, ListingState, MutationOutcome, Relation, RelationContent};
use xinhub_client::{Error, Hub, mutation};

use crate::Subject;
use crate::subject::{days_ago, unique};

/// A court's system, and the clerk who sits at it.
#[derive(Clone, Debug)]
pub struct Court {
    /// The connection.
    pub client: Hub,
}

/// The clerk behind most mutations.
pub fn clerk() -> v1::Actor {
    actor("clerk-0001", "clerk")
}

/// A clerk.
pub fn actor(staff_id: &str, post: &str) -> v1::Actor {
    v1::Actor { staff_id: staff_id.to_owned(), post: post.to_owned() }
}

/// A case number of its own.
pub fn case_number() -> String {
    format!("(2025)粤0882执{}号", unique())
}

/// A decision of 30 days ago with a fixed term, served 25 days ago.
pub fn decision() -> Decision {
    Decision {
        number: format!("(2025)粤0882失{}号", unique()),
        date: days_ago(30),
        reasons: "以隐匿财产的方法规避执行".to_owned(),
        term_months: 24,
        signer: "president-0001".to_owned(),
        served_on: days_ago(25),
        grace_days: 0,
    }
}

/// A listing in force of this subject, on ground ③, with the risk notice served before the decision.
pub fn content(subject: &Subject) -> ListingContent {
    ListingContent {
        identities: subject.identities.clone(),
        name: subject.name.clone(),
        decision: Some(decision()),
        ground: 3,
        case_number: case_number(),
        basis_document: "(2024)粤0882民初100号".to_owned(),
        basis_issuer: "广东省雷州市人民法院".to_owned(),
        filed_on: days_ago(90),
        published_on: days_ago(20),
        area: "广东".to_owned(),
        obligation: "支付货款".to_owned(),
        performance: "全部未履行".to_owned(),
        conduct: "隐匿、转移财产规避执行".to_owned(),
        notice_served_on: days_ago(60),
        ..ListingContent::default()
    }
}

/// A relation of this person, for as long as the listing.
pub fn related(relation: Relation, person: &Subject) -> RelationContent {
    RelationContent {
        relation: relation.into(),
        identity: Some(person.identity()),
        name: person.name.clone(),
        basis_document: "工商登记".to_owned(),
        from: days_ago(400),
        until: String::new(),
    }
}

fn new() -> Option<v1::Mutation> {
    Some(mutation(clerk(), None))
}

fn with_etag(etag: &str) -> Option<v1::Mutation> {
    Some(mutation(clerk(), Some(etag.to_owned())))
}

impl Court {
    /// A clerk at this connection.
    pub fn new(client: Hub) -> Court {
        Court { client }
    }

    /// Publishes in one step.
    ///
    /// # Errors
    /// Why not.
    pub async fn publish(&self, content: ListingContent) -> Result<MutationOutcome, Error> {
        let request = v1::PublishRequest { mutation: new(), content: Some(content), ..Default::default() };
        Ok(self.client.registry().publish(request).await?.outcome.unwrap_or_default())
    }

    /// Lists this subject, in force.
    ///
    /// # Panics
    /// Where it is not.
    pub async fn list(&self, subject: &Subject) -> MutationOutcome {
        let outcome = self.publish(content(subject)).await.unwrap();
        assert_eq!(outcome.state(), ListingState::Listed);
        outcome
    }

    /// Removes: the obligation is met.
    ///
    /// # Errors
    /// Why not.
    pub async fn remove(&self, listing: u64) -> Result<MutationOutcome, Error> {
        let request = v1::RemoveRequest { mutation: new(), listing, ground: "performed".to_owned() };
        Ok(self.client.registry().remove(request).await?.outcome.unwrap_or_default())
    }

    /// Revokes: should not have been listed.
    ///
    /// # Errors
    /// Why not.
    pub async fn revoke(&self, listing: u64) -> Result<MutationOutcome, Error> {
        let request = v1::RevokeRequest { mutation: new(), listing, ground: "error".to_owned() };
        Ok(self.client.registry().revoke(request).await?.outcome.unwrap_or_default())
    }

    /// Masks.
    ///
    /// # Errors
    /// Why not.
    pub async fn hide(&self, listing: u64) -> Result<MutationOutcome, Error> {
        let request = v1::HideRequest { mutation: new(), listing, ground: "settlement".to_owned() };
        Ok(self.client.registry().hide(request).await?.outcome.unwrap_or_default())
    }

    /// Brings back by a new decision.
    ///
    /// # Errors
    /// Why not.
    pub async fn restore(&self, listing: u64, etag: &str) -> Result<MutationOutcome, Error> {
        let request = v1::RestoreRequest { mutation: with_etag(etag), listing, decision: Some(decision()) };
        Ok(self.client.registry().restore(request).await?.outcome.unwrap_or_default())
    }

    /// Corrects what identifies nobody.
    ///
    /// # Errors
    /// Why not.
    pub async fn amend(&self, listing: u64, etag: &str, content: ListingContent) -> Result<MutationOutcome, Error> {
        let request = v1::AmendRequest { mutation: with_etag(etag), listing, content: Some(content) };
        Ok(self.client.registry().amend(request).await?.outcome.unwrap_or_default())
    }

    /// Records service.
    ///
    /// # Errors
    /// Why not.
    pub async fn serve(
        &self,
        listing: u64,
        etag: &str,
        served_on: String,
        grace_days: i32,
    ) -> Result<MutationOutcome, Error> {
        let request = v1::ServeRequest { mutation: with_etag(etag), listing, served_on, grace_days };
        Ok(self.client.registry().serve(request).await?.outcome.unwrap_or_default())
    }

    /// Names a related person.
    ///
    /// # Errors
    /// Why not.
    pub async fn relate(&self, listing: u64, etag: &str, content: RelationContent) -> Result<MutationOutcome, Error> {
        let request = v1::SetRelationRequest { mutation: with_etag(etag), listing, content: Some(content) };
        Ok(self.client.registry().set_relation(request).await?.outcome.unwrap_or_default())
    }

    /// Ends a relation.
    ///
    /// # Errors
    /// Why not.
    pub async fn end_relation(&self, listing: u64, relation: u64) -> Result<MutationOutcome, Error> {
        let basis_document = "变更登记".to_owned();
        let request = v1::EndRelationRequest { mutation: new(), listing, relation, basis_document };
        Ok(self.client.registry().end_relation(request).await?.outcome.unwrap_or_default())
    }

    /// Reads one.
    ///
    /// # Errors
    /// Why not.
    pub async fn read(&self, listing: u64) -> Result<v1::Listing, Error> {
        let request = v1::GetListingRequest { listing, consistency: None };
        Ok(self.client.lookup().get_listing(request).await?.listing.unwrap_or_default())
    }
}
