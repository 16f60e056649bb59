//! Bounded waiting.

use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, sleep};

/// How long anything may take that should take an instant; other work may hold the machine up.
pub const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(10);

/// Waits until `look` sees it.
///
/// # Panics
/// Where it never comes.
#[track_caller]
pub fn until<T, F: Future<Output = Option<T>>>(
    what: &'static str,
    mut look: impl FnMut() -> F,
) -> impl Future<Output = T> {
    let caller = std::panic::Location::caller();
    async move {
        let end = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = look().await {
                return seen;
            }
            assert!(Instant::now() < end, "{caller}: never came true: {what}");
            sleep(PAUSE).await;
        }
    }
}

/// Waits for what a stream or a task brings.
///
/// # Panics
/// Where it never comes.
pub async fn within<T>(coming: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, coming).await.expect("it never comes")
}
