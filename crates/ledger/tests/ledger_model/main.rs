//! The ledger against a plain model, over a hundred thousand random steps: mutations one by one and racing, files, look-ups,
//! reports, days that pass, stops and kills.
//!
//! After each step the listing, its petitions, its deadlines and duties are compared with the model's, and what those who stand in
//! it are answered; after each day and restart everything is. A step is plain data: one that fails is printed with those that it
//! needs and no more.
//!
//! `XINHUB_MODEL_SEED=n` lives one life alone, `XINHUB_MODEL_COMMANDS=n` does that many steps in all.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use std::collections::BTreeMap;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

mod compare;
mod follower;
mod found;
mod generate;
mod life;
mod reference;
mod send;
mod shrink;
mod steps;
mod world;

use generate::Generator;
use life::{Difference, Life};
use reference::Wrong;
use shrink::{Steps, replay, shrink};

/// Steps in all, and in one life.
const STEPS: usize = 100_000;
const STEPS_OF_A_LIFE: usize = 500;

/// What became of mutations, by kind: taken and refused.
type Tally = BTreeMap<String, (usize, usize)>;

/// Lives one life: what became of its mutations, or the steps after which ledger and model have parted, and how.
async fn live(seed: u64, count: usize, wrong: Option<Wrong>) -> Result<Tally, (Steps, Difference)> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut life = Life::new(wrong);
    let (mut steps, mut done) = (Steps::new(), 0);
    while done < count {
        let step = steps.len() as u32;
        let step = Generator { rng: &mut rng, model: &life.model, step, focus: None, racing: false }.step();
        steps.push(step.clone());
        match life.step(&step).await {
            Ok(mutations) => done += mutations,
            Err(difference) => return Err((steps, difference)),
        }
    }
    Ok(life.tally)
}

/// Tells what failed, as short as it can be told.
async fn fail(seed: u64, (steps, first): (Steps, Difference)) -> ! {
    println!("seed {seed}, step {}: {first}\n{:?}\nshrinking…", steps.len(), steps.last());
    let (steps, difference) = shrink(steps, None).await;
    println!("{difference}\nafter these {} steps:", steps.len());
    for step in &steps {
        println!("    {step:?},");
    }
    panic!("seed {seed}: the ledger and the model part; XINHUB_MODEL_SEED={seed} lives this life alone");
}

fn from_env(name: &str) -> Option<u64> {
    std::env::var(name).ok().and_then(|text| text.parse().ok())
}

#[tokio::test]
async fn the_ledger_does_what_a_plain_model_does() {
    let only = from_env("XINHUB_MODEL_SEED");
    let first = only.unwrap_or_else(|| rand::random_range(0..1 << 40));
    let count = from_env("XINHUB_MODEL_COMMANDS").map_or(STEPS, |count| count as usize);
    let lives = if only.is_some() { 1 } else { count.div_ceil(STEPS_OF_A_LIFE) as u64 };
    // A life's steps follow from its seed one after the other: a longer one begins like a shorter one.
    let of_a_life = if only.is_some() && count != STEPS { count } else { STEPS_OF_A_LIFE };
    println!("seeds {first} to {}", first + lives - 1);
    let mut tally = Tally::new();
    for seed in first..first + lives {
        match live(seed, of_a_life, None).await {
            Ok(of_life) => {
                for (kind, (taken, refused)) in of_life {
                    let sum = tally.entry(kind).or_default();
                    *sum = (sum.0 + taken, sum.1 + refused);
                }
            }
            Err(failure) => fail(seed, failure).await,
        }
    }
    println!("taken and refused by kind: {tally:?}");
    if count >= STEPS && only.is_none() {
        for (kind, (taken, refused)) in &tally {
            assert!(
                *taken > 0 && *refused > 0,
                "{kind} was never taken, or never refused: the model says nothing of it"
            );
        }
        assert_eq!(tally.len(), 37, "every mutation is among them");
    }
}

#[tokio::test]
async fn what_was_found_once_stays_right() {
    for (fault, steps) in found::all() {
        assert_eq!(replay(&steps, None).await, Ok(()), "{fault}");
    }
}

/// So many lives at most until a wrong model is found out, and so many steps at most to show it.
const LIVES_OF_WRONG: u64 = 20;
const STEPS_TO_SHOW: usize = 24;

/// A test for a fault first shows that it catches the fault: each of these models is wrong in one place.
#[tokio::test]
async fn a_wrong_model_is_found_out_by_few_steps() {
    for wrong in Wrong::ALL {
        let mut shown = None;
        for seed in 0..LIVES_OF_WRONG {
            let Err((steps, _)) = live(seed, STEPS_OF_A_LIFE, Some(wrong)).await else { continue };
            let count = steps.len();
            let (steps, _) = shrink(steps, Some(wrong)).await;
            println!("{wrong:?}: life {seed}, {count} steps, by {}: {steps:?}", steps.len());
            // What raced may race otherwise: then another life shows it.
            if steps.len() <= STEPS_TO_SHOW {
                shown = Some(steps);
                break;
            }
        }
        let steps = shown.unwrap_or_else(|| panic!("{wrong:?} is not found out by {STEPS_TO_SHOW} steps"));
        // The fault is the model's, and nothing else is wrong with these steps.
        assert_eq!(replay(&steps, None).await, Ok(()), "{wrong:?}");
    }
}
