//! Proto ⇄ domain. Inwards every function takes the path of its message in the request and tells all faults at once;
//! outwards nothing can fail.

mod batch;
mod enums;
mod identity;
mod lookup;
mod petition;
mod registry;
mod shown;

pub use batch::{MAX_BATCH, PACKED_SEPARATOR, Results, Whom, batch, batch_len};
pub use enums::{
    capacity_from, capacity_to, effect_from, effect_to, kind_from, kind_to, on_unknown_to, reason_from, reason_to,
    relation_from, relation_to, state_from, state_to, verdict_from, verdict_to,
};
pub use identity::{Role, identity, identity_to, identity_to_masked};
pub use lookup::{Inquiry, MAX_CONDITIONS, MAX_REFERENCE_CHARS, answer_to, check_reference, inquiry, item, not_listed};
pub use petition::{
    clock_from, petition, petition_kind_from, petition_kind_to, petition_state_from, petition_state_to, petition_to,
    unit_report,
};
pub use registry::{
    Form, MAX_REQUEST_AGE_MS, MAX_REQUEST_LEAD_MS, Mutation, actor, content, day, decision, exemption, listing_number,
    mutation, mutation_by_machine, optional_day, relation, request_id,
};
pub use shown::{content_to, content_to_published, exemption_to, relation_content_to};

use xinhub_domain::time::Timestamp;

/// An instant as proto carries it.
pub fn timestamp_to(at: Timestamp) -> prost_types::Timestamp {
    let nanos = i32::try_from(at.0.rem_euclid(1_000)).unwrap_or(0) * 1_000_000;
    prost_types::Timestamp { seconds: at.0.div_euclid(1_000), nanos }
}

/// 9999-12-31T23:59:59Z, the last second that RFC 3339 can write.
const MAX_INSTANT_S: i64 = 253_402_300_799;

/// An instant from proto, to the millisecond; `None` where it isn't one of 1970 to 9999. Differences of such instants can't
/// overflow.
pub fn timestamp_from(at: &prost_types::Timestamp) -> Option<Timestamp> {
    if !(0..=MAX_INSTANT_S).contains(&at.seconds) || !(0..1_000_000_000).contains(&at.nanos) {
        return None;
    }
    Some(Timestamp(at.seconds * 1_000 + i64::from(at.nanos / 1_000_000)))
}

/// An etag as callers see it: the listing's last revision. Opaque to them.
pub fn etag_to(revision: u64) -> String {
    format!("{revision:x}")
}

/// The revision of an etag; empty is none.
///
/// # Errors
/// Where it isn't an etag that the hub gave out.
pub fn etag_from(etag: &str, path: &str) -> Result<Option<u64>, crate::reason::FieldFaults> {
    if etag.is_empty() {
        return Ok(None);
    }
    u64::from_str_radix(etag, 16).map(Some).map_err(|_| {
        let mut faults = crate::reason::FieldFaults::default();
        faults.add(path, "is not an etag of the hub; give it back as it was read");
        faults
    })
}

#[cfg(test)]
#[path = "convert/tests.rs"]
mod tests;
