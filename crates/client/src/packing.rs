//! Batches on the wire: identities of whom nothing else is said travel without a message for each, and so do their answers.
//!
//! Promises: whoever calls sees the same response, packed or not.

use xinhub_api::convert::{MAX_BATCH, PACKED_SEPARATOR, not_listed};
use xinhub_api::v1::batch_check_result::Result as ItemResult;
use xinhub_api::v1::{
    BatchCheckRequest, BatchCheckResponse, BatchCheckResult, Inquiry, PackedIdentities, PackedResults, Verdict,
};

/// The same request, packed; `None` where an inquiry has more than an identity to it, or is packed already.
pub(crate) fn pack(request: &BatchCheckRequest) -> Option<BatchCheckRequest> {
    // What is too much to send is refused as it was asked.
    if !(1..=MAX_BATCH).contains(&request.inquiries.len()) || !request.packed.is_empty() {
        return None;
    }
    let mut packed: Vec<PackedIdentities> = Vec::new();
    for inquiry in &request.inquiries {
        let Inquiry { identity: Some(identity), name, officers, conditions, reference } = inquiry else { return None };
        let is_bare = name.is_empty() && officers.is_empty() && conditions.is_empty() && reference.is_empty();
        if !is_bare || identity.number.contains(PACKED_SEPARATOR) {
            return None;
        }
        match packed.last_mut() {
            Some(last) if (last.kind, &last.issuing_state) == (identity.kind, &identity.issuing_state) => {
                last.numbers.push(PACKED_SEPARATOR);
                last.numbers.push_str(&identity.number);
            }
            Some(_) | None => packed.push(PackedIdentities {
                kind: identity.kind,
                numbers: identity.number.clone(),
                issuing_state: identity.issuing_state.clone(),
            }),
        }
    }
    Some(BatchCheckRequest {
        measure: request.measure.clone(),
        item: request.item.clone(),
        consistency: request.consistency.clone(),
        packed,
        inquiries: Vec::new(),
    })
}

/// The response as if the request had not been packed. A verdict that should have a result and has none leaves its result empty, so
/// that it can't be taken for an answer.
pub(crate) fn unpack(mut response: BatchCheckResponse) -> BatchCheckResponse {
    let Some(PackedResults { verdicts, results }) = response.packed.take() else { return response };
    let of = |verdict: u8| match i32::from(verdict) == Verdict::Clear as i32 {
        true => BatchCheckResult { result: Some(ItemResult::Answer(not_listed())) },
        false => BatchCheckResult { result: None },
    };
    response.results = verdicts.into_iter().map(of).collect();
    for one in results {
        let place = usize::try_from(one.position).ok().and_then(|position| response.results.get_mut(position));
        if let (Some(place), Some(result)) = (place, one.result) {
            *place = result;
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use xinhub_api::v1::{Answer, Identity, IdentityKind, ItemError, PackedResult};

    use super::*;

    fn inquiry(kind: IdentityKind, number: &str, state: &str) -> Inquiry {
        let identity = Identity { kind: kind.into(), number: number.to_owned(), issuing_state: state.to_owned() };
        Inquiry { identity: Some(identity), ..Inquiry::default() }
    }

    #[test]
    fn runs_of_one_kind_and_state_are_packed_in_order() {
        let (person, passport) = (IdentityKind::ResidentId, IdentityKind::Passport);
        let inquiries = vec![
            inquiry(person, "1", ""),
            inquiry(person, "", ""),
            inquiry(passport, "2", "FRA"),
            inquiry(passport, "3", "DEU"),
            inquiry(person, "4", ""),
        ];
        let request = BatchCheckRequest { measure: "m".into(), item: "i".into(), inquiries, ..Default::default() };
        let packed = pack(&request).unwrap();
        let groups: Vec<_> =
            packed.packed.iter().map(|group| (group.kind(), &*group.numbers, &*group.issuing_state)).collect();
        assert_eq!(groups, [(person, "1\n", ""), (passport, "2", "FRA"), (passport, "3", "DEU"), (person, "4", "")]);
        assert_eq!((&*packed.measure, &*packed.item, packed.inquiries.len()), ("m", "i", 0));
    }

    #[test]
    fn whatever_says_more_than_an_identity_is_not_packed() {
        let bare = || inquiry(IdentityKind::ResidentId, "1", "");
        let check = |inquiries: Vec<Inquiry>, expected: bool| {
            let request = BatchCheckRequest { inquiries, ..Default::default() };
            assert_eq!(pack(&request).is_some(), expected, "{request:?}");
        };
        check(vec![bare()], true);
        check(vec![], false);
        check(vec![bare(), Inquiry { name: "n".into(), ..bare() }], false);
        check(vec![Inquiry { reference: "r".into(), ..bare() }], false);
        check(vec![Inquiry { officers: vec![Default::default()], ..bare() }], false);
        check(vec![Inquiry { conditions: vec![Default::default()], ..bare() }], false);
        check(vec![Inquiry { identity: None, ..bare() }], false);
        check(vec![inquiry(IdentityKind::ResidentId, "1\n2", "")], false);
    }

    #[test]
    fn each_result_comes_to_its_place_and_none_is_made_up() {
        let consider = ItemResult::Answer(Answer { verdict: Verdict::Consider.into(), ..Answer::default() });
        let error = ItemResult::Error(ItemError { code: 3, ..ItemError::default() });
        let at = |position, result: &ItemResult| PackedResult {
            position,
            result: Some(BatchCheckResult { result: Some(result.clone()) }),
        };
        let verdicts = vec![1, Verdict::Consider as u8, 0, Verdict::Restricted as u8];
        let results = vec![at(1, &consider), at(2, &error), at(9, &consider)];
        let packed = Some(PackedResults { verdicts, results });
        let response = unpack(BatchCheckResponse { packed, ..BatchCheckResponse::default() });
        let results: Vec<_> = response.results.into_iter().map(|one| one.result).collect();
        assert_eq!(results, [Some(ItemResult::Answer(not_listed())), Some(consider), Some(error), None]);
    }
}
