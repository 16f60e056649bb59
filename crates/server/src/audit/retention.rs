//! What is old enough goes, whole segments at a time.

use xinhub_ledger::seglog::{LogError, SegmentedLog};

use super::reader::Head;

/// A clock that is further past the last record than this is not believed: it would have the whole log removed.
const MAX_SILENCE_DAYS: u32 = 366;

/// Removes every segment whose records are all older than `retention_days`; returns how many.
///
/// A segment's records are no younger than the first of the next one, and a frame's day stands in clear.
pub(super) fn remove_old(log: &mut SegmentedLog, today: u32, retention_days: u32) -> Result<u64, LogError> {
    let reader = log.reader();
    let tail = reader.tail();
    if tail.sequence == 0 {
        return Ok(0);
    }
    let last_day = day_at(&reader.read(tail.last)?);
    if last_day.is_none_or(|last| today > last.saturating_add(MAX_SILENCE_DAYS)) {
        tracing::warn!(
            "audit log: the clock is over a year past the last record; nothing is removed until a record is made"
        );
        return Ok(0);
    }
    let oldest_kept = today.saturating_sub(retention_days);
    let mut keep_from = 0;
    for segment in reader.segments().iter().skip(1) {
        if segment.first_sequence > tail.sequence {
            break;
        }
        match day_at(&reader.read(segment.first)?) {
            Some(day) if day < oldest_kept => keep_from = segment.first_sequence,
            Some(_) | None => break,
        }
    }
    if keep_from == 0 { Ok(0) } else { log.remove_segments_before(keep_from) }
}

fn day_at(payload: &[u8]) -> Option<u32> {
    Head::read(payload).map(|head| head.day)
}
