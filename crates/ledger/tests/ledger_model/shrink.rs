//! From a list of steps that fails to a short one: whatever can be left out is.

use crate::life::{Difference, Life};
use crate::reference::Wrong;
use crate::steps::Step;

/// Steps with the numbers under which later ones know them.
pub(crate) type Steps = Vec<Step>;

/// Does all steps in a new life; at which one the ledger and the model part, and how.
pub(crate) async fn replay(steps: &[Step], wrong: Option<Wrong>) -> Result<(), (usize, Difference)> {
    let mut life = Life::new(wrong);
    for (at, step) in steps.iter().enumerate() {
        life.step(step).await.map_err(|difference| (at, difference))?;
    }
    Ok(())
}

/// The shortest list that is found by leaving out parts, then single steps, then parts of groups; and how it fails.
pub(crate) async fn shrink(mut steps: Steps, wrong: Option<Wrong>) -> (Steps, Difference) {
    let mut difference = "it fails no more: what raced, raced otherwise".to_owned();
    match replay(&steps, wrong).await {
        Err((at, how)) => {
            steps.truncate(at + 1);
            difference = how;
        }
        Ok(()) => return (steps, difference),
    }
    let mut size = steps.len().div_ceil(2);
    loop {
        let before = steps.len();
        let mut end = steps.len();
        while end > 0 {
            let start = end.saturating_sub(size);
            let mut fewer = steps.clone();
            fewer.drain(start..end);
            if let Err((at, how)) = replay(&fewer, wrong).await {
                fewer.truncate(at + 1);
                (steps, difference) = (fewer, how);
            }
            end = start.min(steps.len());
        }
        if size == 1 && steps.len() == before {
            break;
        }
        size = size.div_ceil(2);
    }
    for at in 0..steps.len() {
        difference = thin_out(&mut steps, at, wrong).await.unwrap_or(difference);
    }
    (steps, difference)
}

/// Leaves out of a group or file what the failure doesn't need.
async fn thin_out(steps: &mut Steps, at: usize, wrong: Option<Wrong>) -> Option<Difference> {
    let mut difference = None;
    let mut place = 0;
    loop {
        let mut fewer = steps.clone();
        match fewer.get_mut(at)? {
            Step::Together(tries) if place < tries.len() => drop(tries.remove(place)),
            Step::Import { rows, .. } if place < rows.len() => drop(rows.remove(place)),
            _ => return difference,
        }
        match replay(&fewer, wrong).await {
            Err((_, how)) => (*steps, difference) = (fewer, Some(how)),
            Ok(()) => place += 1,
        }
    }
}
