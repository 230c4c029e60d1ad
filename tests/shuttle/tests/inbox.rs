//! No order of threads loses a wake-up or an item: a loop that slept on would be a deadlock, which shuttle reports.

use std::collections::VecDeque;

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::thread;
use tulipa_shuttle::inbox::{Inbox, Wake};

/// Orders that are tried by chance, for models with too many to try all.
const BY_CHANCE: usize = 20_000;

/// What an eventfd is to the loop: a wake-up is kept until the next wait takes it.
struct Bell {
    rings: Mutex<bool>,
    changed: Condvar,
    rung: AtomicUsize,
}

impl Bell {
    fn new() -> Self {
        Self { rings: Mutex::new(false), changed: Condvar::new(), rung: AtomicUsize::new(0) }
    }

    fn wait(&self) {
        let mut rings = self.rings.lock().expect("no thread panics");
        while !*rings {
            rings = self.changed.wait(rings).expect("no thread panics");
        }
        *rings = false;
    }
}

impl Wake for Bell {
    fn wake(&self) {
        self.rung.fetch_add(1, Ordering::SeqCst);
        *self.rings.lock().expect("no thread panics") = true;
        self.changed.notify_one();
    }
}

/// Turns, as the binding drives them, until so many items came. How often it slept is returned as well.
fn run_loop(inbox: &Inbox<(usize, usize)>, bell: &Bell, expected: usize) -> (Vec<(usize, usize)>, usize) {
    let (mut got, mut sleeps) = (Vec::new(), 0);
    loop {
        if inbox.is_pending() {
            got.extend(inbox.take());
        }
        if got.len() == expected {
            return (got, sleeps);
        }
        if inbox.falls_asleep() {
            sleeps += 1;
            bell.wait();
            inbox.wakes_up();
        }
    }
}

fn pushed_from(threads: usize, each: usize) -> impl Fn() + Send + Sync {
    move || {
        let (inbox, bell) = (Arc::new(Inbox::default()), Arc::new(Bell::new()));
        let pushing: Vec<_> = (0..threads)
            .map(|thread| {
                let (inbox, bell) = (Arc::clone(&inbox), Arc::clone(&bell));
                thread::spawn(move || (0..each).for_each(|item| inbox.push((thread, item), &*bell)))
            })
            .collect();
        let (got, sleeps) = run_loop(&inbox, &bell, threads * each);
        for thread in pushing {
            thread.join().expect("pushing does not panic");
        }
        for thread in 0..threads {
            let order: Vec<_> = got.iter().filter(|item| item.0 == thread).map(|item| item.1).collect();
            assert_eq!(order, (0..each).collect::<Vec<_>>(), "the items of a thread keep their order");
        }
        // A sleep that was announced and then not taken may be ended as well; nothing else is.
        assert!(bell.rung.load(Ordering::SeqCst) <= sleeps + threads * each, "{sleeps}");
    }
}

#[test]
fn one_thread_loses_no_wake_up_and_no_item_in_any_order() {
    shuttle::check_dfs(pushed_from(1, 1), None);
}

#[test]
fn several_threads_lose_no_wake_up_and_no_item() {
    shuttle::check_random(pushed_from(2, 2), BY_CHANCE);
    shuttle::check_pct(pushed_from(3, 2), BY_CHANCE, 4);
}

#[test]
fn each_access_asks_for_the_one_order_that_shuttle_knows() {
    let source = include_str!("../../../crates/tulipa-core/src/inbox.rs");
    assert!(source.contains("Ordering::SeqCst"));
    for weaker in ["Relaxed", "Acquire", "Release", "AcqRel"] {
        assert!(!source.contains(&format!("Ordering::{weaker}")), "{weaker}");
    }
}

#[test]
fn a_loop_that_runs_is_not_woken() {
    shuttle::check_dfs(
        || {
            let (inbox, bell) = (Arc::new(Inbox::default()), Arc::new(Bell::new()));
            let pushing = {
                let (inbox, bell) = (Arc::clone(&inbox), Arc::clone(&bell));
                thread::spawn(move || inbox.push((0, 0), &*bell))
            };
            inbox.take();
            pushing.join().expect("pushing does not panic");
            assert_eq!(bell.rung.load(Ordering::SeqCst), 0);
        },
        None,
    );
}

#[test]
fn rouse_ends_a_sleep() {
    shuttle::check_dfs(
        || {
            let (inbox, bell) = (Arc::new(Inbox::<(usize, usize)>::default()), Arc::new(Bell::new()));
            let stopped = Arc::new(AtomicBool::new(false));
            let stopping = {
                let (inbox, bell, stopped) = (Arc::clone(&inbox), Arc::clone(&bell), Arc::clone(&stopped));
                thread::spawn(move || {
                    stopped.store(true, Ordering::SeqCst);
                    inbox.rouse(&*bell);
                })
            };
            // As when a signal asks the loop to stop: what is looked at after the sleep was announced is seen.
            if inbox.falls_asleep() {
                if !stopped.load(Ordering::SeqCst) {
                    bell.wait();
                }
                inbox.wakes_up();
            }
            stopping.join().expect("rousing does not panic");
        },
        None,
    );
}

/// An inbox that looks first and announces its sleep then: the model must find the lost wake-up.
#[test]
#[should_panic(expected = "deadlock")]
fn a_loop_that_looks_before_it_announces_its_sleep_is_found_out() {
    shuttle::check_dfs(
        || {
            let queue = Arc::new(Mutex::new(VecDeque::new()));
            let (asleep, bell) = (Arc::new(AtomicBool::new(false)), Arc::new(Bell::new()));
            let pushing = {
                let (queue, asleep, bell) = (Arc::clone(&queue), Arc::clone(&asleep), Arc::clone(&bell));
                thread::spawn(move || {
                    queue.lock().expect("no thread panics").push_back(());
                    if asleep.swap(false, Ordering::SeqCst) {
                        bell.wake();
                    }
                })
            };
            while queue.lock().expect("no thread panics").pop_front().is_none() {
                asleep.store(true, Ordering::SeqCst);
                bell.wait();
            }
            pushing.join().expect("pushing does not panic");
        },
        None,
    );
}
