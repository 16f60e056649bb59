//! What a client may spend: a rate and a daily quota, counted in checks.
//!
//! Promises: a call is refused with the time after which it would pass; a check costs 1 and 1 for each officer asked about,
//! a batch the sum of its inquiries; one larger than the burst passes once the bucket is full and is then paid off. Counted in memory, by boot time: a restart forgives, a step of the
//! wall clock does not.

use std::hash::BuildHasher;
use std::time::Duration;

use hashbrown::{DefaultHashBuilder, HashTable};
use parking_lot::Mutex;
use xinhub_api::reason::{Failure, Reason};
use xinhub_domain::policy::{Client, Quota};
use xinhub_domain::time::{Day, Timestamp};

/// Clients rarely wait for each other's bucket.
const SHARDS: usize = 16;
/// Tokens are counted in thousandths, so that a slow rate still fills between two calls a millisecond apart.
const MILLI: i64 = 1_000;

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limit {
    /// Checks per second.
    Rate,
    /// Checks per day in Asia/Shanghai.
    Daily,
}

impl Limit {
    /// The label for metrics, `snake_case`.
    pub fn as_str(self) -> &'static str {
        match self {
            Limit::Rate => "rate",
            Limit::Daily => "daily",
        }
    }
}

/// More than the client may spend now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct OverQuota {
    /// Which limit was reached.
    pub limit: Limit,
    /// After this time the same call would pass.
    pub retry_after: Duration,
}

impl OverQuota {
    fn text(&self) -> &'static str {
        match self.limit {
            Limit::Rate => {
                "this client's rate is used up; wait as RetryInfo says, or ask the operator for a higher rate"
            }
            Limit::Daily => "this client's daily quota is used up; it begins anew at 00:00 Asia/Shanghai",
        }
    }
}

impl From<OverQuota> for Failure {
    fn from(over: OverQuota) -> Failure {
        let reason = match over.limit {
            Limit::Rate => Reason::Rate,
            Limit::Daily => Reason::DailyQuota,
        };
        Failure::new(reason, over.to_string()).retry_after(over.retry_after)
    }
}

/// What every client has spent.
#[derive(Debug, Default)]
pub struct Quotas {
    /// By the hash of the client's id, which is made once.
    shards: [Mutex<HashTable<(String, Spent)>>; SHARDS],
    hasher: DefaultHashBuilder,
}

#[derive(Debug)]
struct Spent {
    /// Thousandths of checks left in the bucket; below zero while a large batch is paid off.
    milli_tokens: i64,
    filled_at_boot_ms: u64,
    day: Day,
    today: u64,
}

impl Quotas {
    /// Takes `cost` checks from the client's quota, or says when they could be taken.
    ///
    /// # Errors
    /// [`OverQuota`]; nothing was taken.
    pub fn take(&self, client: &Client, cost: u64, now: Timestamp, boot_ms: u64) -> Result<(), OverQuota> {
        let hash = self.hasher.hash_one(client.id());
        // A shard is a power-of-two share of the hash, of other bits than those by which its table places an entry first.
        let mut shard = self.shards[(hash >> 32) as usize % SHARDS].lock();
        if let Some((_, spent)) = shard.find_mut(hash, |(id, _)| id == client.id()) {
            return spent.take(client.quota(), cost, now, boot_ms);
        }
        let mut spent = Spent::new(client.quota(), now, boot_ms);
        let taken = spent.take(client.quota(), cost, now, boot_ms);
        shard.insert_unique(hash, (client.id().to_owned(), spent), |(id, _)| self.hasher.hash_one(id.as_str()));
        taken
    }
}

impl Spent {
    fn new(quota: Quota, now: Timestamp, boot_ms: u64) -> Spent {
        Spent { milli_tokens: i64::from(quota.burst) * MILLI, filled_at_boot_ms: boot_ms, day: now.day(), today: 0 }
    }

    fn take(&mut self, quota: Quota, cost: u64, now: Timestamp, boot_ms: u64) -> Result<(), OverQuota> {
        self.fill(quota, boot_ms);
        // A day already counted never comes again, should the wall clock step back.
        if now.day() > self.day {
            (self.day, self.today) = (now.day(), 0);
        }
        if self.today.saturating_add(cost) > quota.daily {
            let left_ms = u64::try_from(self.day.end().0 - now.0).unwrap_or(0);
            return Err(OverQuota { limit: Limit::Daily, retry_after: Duration::from_millis(left_ms.max(1)) });
        }
        let cost_milli = i64::try_from(cost).unwrap_or(i64::MAX / MILLI).saturating_mul(MILLI);
        let needed = cost_milli.min(i64::from(quota.burst) * MILLI);
        if self.milli_tokens < needed {
            // Thousandths of a check per millisecond are checks per second.
            let missing = u64::try_from(needed - self.milli_tokens).unwrap_or(0);
            let wait_ms = missing.div_ceil(u64::from(quota.rate_per_second.max(1)));
            return Err(OverQuota { limit: Limit::Rate, retry_after: Duration::from_millis(wait_ms) });
        }
        self.milli_tokens = self.milli_tokens.saturating_sub(cost_milli);
        self.today += cost;
        Ok(())
    }

    fn fill(&mut self, quota: Quota, boot_ms: u64) {
        let elapsed_ms = i64::try_from(boot_ms.saturating_sub(self.filled_at_boot_ms)).unwrap_or(i64::MAX);
        let filled = elapsed_ms.saturating_mul(i64::from(quota.rate_per_second));
        self.milli_tokens = self.milli_tokens.saturating_add(filled).min(i64::from(quota.burst) * MILLI);
        self.filled_at_boot_ms = self.filled_at_boot_ms.max(boot_ms);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUOTA: Quota = Quota { rate_per_second: 10, burst: 20, daily: 100 };
    /// 2026-03-01T12:00:00+08:00.
    const NOON: Timestamp = Timestamp(1_772_337_600_000);

    /// When (ms since the start), what it costs, and what comes of it: `None` passes, else the limit and the wait in ms.
    type Step = (u64, u64, Option<(Limit, u64)>);

    fn check(steps: &[Step]) {
        let mut spent = Spent::new(QUOTA, NOON, 1_000);
        for (at, cost, expected) in steps {
            let now = Timestamp(NOON.0 + i64::try_from(*at).unwrap_or(0));
            let over = spent.take(QUOTA, *cost, now, 1_000 + at).err();
            let got = over.map(|over| (over.limit, u64::try_from(over.retry_after.as_millis()).unwrap_or(0)));
            assert_eq!(got, *expected, "{cost} at {at} ms");
        }
    }

    #[test]
    fn a_burst_passes_and_then_the_rate() {
        check(&[
            (0, 20, None),
            (0, 1, Some((Limit::Rate, 100))),
            (99, 1, Some((Limit::Rate, 1))),
            (100, 1, None),
            (100, 1, Some((Limit::Rate, 100))),
            (10_100, 20, None),
            (10_100, 1, Some((Limit::Rate, 100))),
        ]);
    }

    #[test]
    fn a_batch_above_the_burst_is_paid_off() {
        check(&[
            (0, 50, None),
            (0, 1, Some((Limit::Rate, 3_100))),
            (3_000, 1, Some((Limit::Rate, 100))),
            (3_100, 1, None),
            (5_100, 50, Some((Limit::Daily, 43_194_900))),
            (5_100, 49, None),
        ]);
    }

    #[test]
    fn the_day_ends_at_midnight_in_shanghai() {
        let noon_to_midnight = 43_200_000;
        check(&[
            (0, 100, None),
            (20_000, 1, Some((Limit::Daily, noon_to_midnight - 20_000))),
            (noon_to_midnight - 1, 1, Some((Limit::Daily, 1))),
            (noon_to_midnight, 1, None),
        ]);
    }
}
