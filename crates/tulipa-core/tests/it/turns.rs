//! The order of one turn, waiting, and the end of a loop.

use tulipa_core::sim::codes;
use tulipa_core::{Direction, Ends, Instant, Nap, Wake};

use crate::bench::Bench;
use crate::host::{Call, Owner, Waiter};

fn at(bench: &mut Bench, secs: f64, call: u32) -> tulipa_core::TimerId {
    let when = bench.lp.now().after(secs);
    bench.lp.call_at(when, Call(call))
}

#[test]
fn a_turn_runs_what_was_ready_then_completions_then_timers() {
    let mut bench = Bench::new();
    let (source, peer) = bench.sim().stream_pair();
    bench.lp.open_stream(source, Owner(1), Ends::Both);
    bench.turn();
    at(&mut bench, 0.0, 3);
    bench.sim().peer(peer).write(b"2").unwrap();
    bench.lp.call_soon(Call(1));
    assert_eq!(bench.turn(), ["call 1", "data 1: 2", "call 3"]);
}

#[test]
fn what_the_batch_adds_belongs_to_the_next_turn() {
    let mut bench = Bench::new();
    bench.lp.call_soon(Call(1));
    bench.lp.call_soon(Call(2));
    let log = bench.turn_with(|lp, _| {
        let now = lp.now();
        lp.call_soon(Call(3));
        lp.call_at(now, Call(4));
    });
    assert_eq!(log, ["call 1", "call 2"]);
    assert_eq!(bench.turn(), ["call 3", "call 3", "call 4", "call 4"]);
}

#[test]
fn a_batch_that_was_broken_off_goes_on_in_the_next_turn() {
    let mut bench = Bench::new();
    for call in 1..=3 {
        bench.lp.call_soon(Call(call));
    }
    bench.lp.collect(None);
    assert!(bench.lp.next().is_some());
    bench.lp.call_soon(Call(4));
    assert_eq!(bench.turn(), ["call 2", "call 3", "call 4"]);
}

#[test]
fn calls_from_other_threads_keep_their_place() {
    let mut bench = Bench::new();
    let waker = bench.sim().waker();
    bench.lp.call_soon(Call(1));
    bench.inbox.push(Call(2), &waker);
    bench.lp.call_soon(Call(3));
    bench.inbox.push(Call(4), &waker);
    assert_eq!(bench.lp.load().ready, 4);
    assert_eq!(bench.turn(), ["call 1", "call 2", "call 3", "call 4"]);
}

#[test]
fn a_call_from_another_thread_ends_a_wait() {
    let mut bench = Bench::new();
    let waker = bench.sim().waker();
    at(&mut bench, 100.0, 1);
    let began = bench.lp.now();
    assert!(bench.inbox.falls_asleep());
    let mut nap = bench.lp.nap();
    bench.inbox.push(Call(2), &waker);
    nap.sleep(Some(100.0)).unwrap();
    bench.inbox.wakes_up();
    bench.lp.woken(nap);
    assert!(bench.lp.now() < began.after(1.0));
    assert_eq!(bench.turn(), ["call 2"]);
}

#[test]
fn the_timeout_is_what_may_be_slept() {
    let mut bench = Bench::new();
    assert_eq!(bench.lp.timeout(None), None, "nothing is due ever");
    at(&mut bench, 5.0, 1);
    let id = at(&mut bench, 2.0, 2);
    assert_eq!(bench.lp.timeout(None), Some(2.0));
    bench.lp.cancel_timer(id);
    assert_eq!(bench.lp.timeout(None), Some(5.0));
    at(&mut bench, -1.0, 3);
    assert_eq!(bench.lp.timeout(None), Some(0.0));
    bench.turn();
    bench.lp.call_soon(Call(4));
    assert_eq!(bench.lp.timeout(None), Some(0.0));
    bench.turn();
    let waker = bench.sim().waker();
    bench.inbox.push(Call(5), &waker);
    assert_eq!(bench.lp.timeout(None), Some(0.0));
}

#[test]
fn a_wait_is_never_longer_than_a_day() {
    let mut bench = Bench::new();
    at(&mut bench, f64::INFINITY, 1);
    assert_eq!(bench.lp.timeout(None), Some(86_400.0));
    assert_eq!(bench.turn(), [""; 0]);
}

#[test]
fn a_clock_of_the_programs_own_decides_what_is_due() {
    let mut bench = Bench::new();
    bench.lp.call_at(Instant::from_secs(7.0), Call(1));
    bench.lp.call_at(Instant::from_secs(9.0), Call(2));
    let own = Some(Instant::from_secs(6.5));
    assert_eq!(bench.lp.timeout(own), Some(0.5));
    assert_eq!(bench.lp.collect(own), 0, "the driver's clock, which reads 1000, does not count");
    assert_eq!(bench.lp.collect(Some(Instant::from_secs(7.0))), 1);
    assert_eq!(bench.lp.timeout(own), Some(0.0));
    assert_eq!(bench.turn(), ["call 1", "call 2"]);
}

#[test]
fn timers_run_in_the_order_of_their_deadlines_and_none_early() {
    let mut bench = Bench::new();
    for (secs, call) in [(0.3, 3), (0.1, 1), (0.2, 2), (0.1, 10)] {
        at(&mut bench, secs, call);
    }
    let cancelled = at(&mut bench, 0.15, 9);
    assert_eq!(bench.lp.cancel_timer(cancelled), Some(Call(9)));
    let began = bench.lp.now();
    let mut log = Vec::new();
    while let Some(secs) = bench.lp.timeout(None) {
        let mut nap = bench.lp.nap();
        nap.sleep(Some(secs)).unwrap();
        bench.lp.woken(nap);
        log.extend(bench.turn().into_iter().map(|call| (call, bench.lp.now().as_secs() - began.as_secs())));
    }
    let calls: Vec<_> = log.iter().map(|(call, _)| call.as_str()).collect();
    assert_eq!(calls, ["call 1", "call 10", "call 2", "call 3"]);
    for ((_, secs), due) in log.iter().zip([0.1, 0.1, 0.2, 0.3]) {
        assert!((due..due + 0.01).contains(secs), "{log:?}");
    }
}

#[test]
fn clearing_hands_everything_back_and_closes_every_source() {
    let mut bench = Bench::new();
    let (stream, peer) = bench.sim().stream_pair();
    let (datagram, _) = bench.sim().datagram(None);
    let (listener, _) = bench.sim().listener(1);
    let (watched, _) = bench.sim().local_pair();
    let stream = bench.lp.open_stream(stream, Owner(1), Ends::Both);
    bench.lp.open_datagram(datagram, Owner(2));
    bench.turn();
    bench.lp.listen(listener, Owner(3)).unwrap();
    let watch = bench.lp.watch(watched);
    bench.lp.set_callback(watch, Direction::Read, Some(Call(4))).ok().unwrap();
    bench.lp.wait(watch, Direction::Write, Waiter(5)).unwrap();
    bench.lp.call_soon(Call(6));
    at(&mut bench, 1.0, 7);
    let waker = bench.sim().waker();
    bench.inbox.push(Call(8), &waker);
    bench.lp.close(stream);
    bench.sim().peer(peer).write(b"late").unwrap();

    let remains = bench.lp.clear();
    let owners: Vec<_> = remains.iter().filter_map(|remains| remains.owner).collect();
    let callbacks: Vec<_> = remains.iter().flat_map(|remains| remains.callbacks.clone()).collect();
    let waiters: Vec<_> = remains.iter().flat_map(|remains| remains.waiters.clone()).collect();
    assert_eq!(owners, [Owner(1), Owner(2), Owner(3)]);
    assert_eq!(callbacks, [Call(6), Call(8), Call(7), Call(4)]);
    assert_eq!(waiters, [Waiter(5)]);
    assert_eq!((bench.sim().open(), bench.sim().attached()), (0, 0));
    assert!(!bench.lp.has_timers());
    assert_eq!(bench.turn(), [""; 0]);
    assert!(bench.lp.is_closing(stream));
}

#[test]
fn a_wait_that_can_never_end_says_who_waits_for_what() {
    let mut bench = Bench::new();
    let (source, _) = bench.sim().stream_pair();
    bench.lp.open_stream(source, Owner(1), Ends::Both);
    bench.turn();
    bench.turn();
    let mut nap = bench.lp.nap();
    assert_eq!(nap.sleep(None), Err(codes::DEADLOCK));
    assert!(nap.deadlock().is_some());
    bench.lp.woken(nap);
    let told = bench.sim().deadlock().unwrap();
    assert!(told.contains("stream #1") && told.contains("waits to read"), "{told}");
    waker_ends_it(&mut bench);
}

/// A waker is an event, too.
fn waker_ends_it(bench: &mut Bench) {
    bench.sim().waker().wake();
    let mut nap = bench.lp.nap();
    assert_eq!(nap.sleep(None), Ok(()));
    bench.lp.woken(nap);
}
