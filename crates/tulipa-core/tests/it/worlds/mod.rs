//! Seeded worlds: a program that does anything in every callback, peers that do anything between turns, and what must
//! hold after every step whatever they do.
//!
//! `TULIPA_SEED=0x2a cargo test -p tulipa-core worlds` replays one world and prints the end of its trace if it fails;
//! `TULIPA_WORLDS=100000` runs more of them.

mod act;
mod calls;
mod check;
mod connections;
mod datagrams;
mod listeners;
mod peers;
mod settle;
mod streams;
mod watches;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

use tulipa_core::sim::Seed;

use world::World;

/// How many worlds every test run visits.
const WORLDS: u64 = 2000;

/// After so many failures the rest would tell nothing new.
const FAILURES_MAX: usize = 20;

/// Seeds that once found a bug; each line says which.
const KEPT: &[(u64, &str)] = &[];

/// Runs one world to its end, and tells what went wrong.
fn visit(seed: Seed) -> Result<String, String> {
    let mut world = World::new(seed);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    let trace = world.trace();
    result.map(|()| trace.to_string()).map_err(|panic| {
        let message = panic.downcast_ref::<String>().cloned();
        let message = message.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let message = message.unwrap_or_else(|| "a panic without words".to_owned());
        format!("{message}\nreplay with TULIPA_SEED={seed}\nthe end of its trace:\n{}", trace.tail(60))
    })
}

/// The number in an environment variable.
fn ordered<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")))
}

#[test]
fn every_rule_holds_in_every_world() {
    if let Some(seed) = ordered("TULIPA_SEED") {
        if let Err(failure) = visit(seed) {
            panic!("{failure}");
        }
        return;
    }
    let worlds = ordered("TULIPA_WORLDS").unwrap_or(WORLDS);
    let seeds = Mutex::new(KEPT.iter().map(|(seed, _)| Seed(*seed)).chain((0..worlds).map(Seed)));
    let failures = Mutex::new(Vec::new());
    let threads = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    if failures.lock().unwrap().len() >= FAILURES_MAX {
                        break;
                    }
                    let Some(seed) = seeds.lock().unwrap().next() else { break };
                    if let Err(failure) = visit(seed) {
                        failures.lock().unwrap().push((seed, failure));
                    }
                }
            });
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    if let Some((seed, failure)) = failures.first() {
        let line = |(seed, why): &(Seed, String)| format!("{seed}: {}", why.lines().next().unwrap_or_default());
        let lines: Vec<_> = failures.iter().map(line).collect();
        panic!("{} of {worlds} worlds fail:\n{}\nthe first is {seed}: {failure}", lines.len(), lines.join("\n"));
    }
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [1, 2, 3, 0x51] {
        let (first, second) = (visit(Seed(seed)).unwrap(), visit(Seed(seed)).unwrap());
        assert!(first.lines().count() > 20, "a world where nothing happens proves nothing");
        assert_eq!(first, second);
    }
    assert_ne!(visit(Seed(1)).unwrap(), visit(Seed(2)).unwrap());
}
