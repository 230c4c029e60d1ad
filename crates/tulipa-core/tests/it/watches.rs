//! The rules on top of `watch.rs`, and what follows from them.

use tulipa_core::sim::{EndId, Operation, codes};
use tulipa_core::{Attempt, Direction, Token, Trigger};

use crate::bench::Bench;
use crate::host::{Call, Waiter};

fn watching() -> (Bench, Token, EndId, EndId) {
    let mut bench = Bench::new();
    let (source, peer) = bench.sim().local_pair();
    let end = source.id();
    let token = bench.lp.watch(source);
    (bench, token, end, peer)
}

fn serve(bench: &mut Bench, token: Token, waiter: u32) {
    assert_eq!(bench.lp.served(token, Direction::Read, |other| other.0 == waiter), Some(Waiter(waiter)));
}

#[test]
fn rule_1_a_callback_is_called_at_every_turn_while_it_lasts() {
    let (mut bench, token, end, peer) = watching();
    assert_eq!(bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok(), Some(None));
    assert_eq!(bench.run_until_quiet(), [""; 0]);
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.turn();
    assert_eq!(bench.turn(), ["call 1"]);
    assert_eq!(bench.turn(), ["call 1"]);
    bench.sim().peer(end).read(&mut [0]).unwrap();
    assert_eq!(bench.turn(), [""; 0]);
}

#[test]
fn rule_1_a_second_callback_replaces_the_first_even_when_that_was_due() {
    let (mut bench, token, _, peer) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.lp.poll().unwrap();
    bench.lp.collect(None);
    assert_eq!(bench.lp.set_callback(token, Direction::Read, Some(Call(2))).ok(), Some(Some(Call(1))));
    assert_eq!(bench.turn(), ["call 2", "call 2"]);
    assert_eq!(bench.lp.set_callback(token, Direction::Read, None).ok(), Some(Some(Call(2))));
    assert_eq!(bench.turn(), [""; 0]);
    assert!(bench.lp.is_idle(token));
    assert_eq!(bench.sim().attached(), 0, "nobody is left to report to");
}

#[test]
fn rule_1_both_directions_have_a_callback_of_their_own() {
    let (mut bench, token, end, _) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.set_callback(token, Direction::Write, Some(Call(2))).ok().unwrap();
    assert_eq!(bench.turn(), ["call 2"]);
    bench.lp.set_callback(token, Direction::Write, None).ok().unwrap();
    let interest = bench.sim().interest(end).unwrap();
    assert!(interest.read && !interest.write && interest.trigger == Trigger::Level);
    assert_eq!(bench.lp.callback(token, Direction::Read), Some(&Call(1)));
}

#[test]
fn rule_2_waiters_are_served_one_after_another() {
    let (mut bench, token, end, peer) = watching();
    for waiter in 1..=3 {
        assert_eq!(bench.lp.has_waiters(token, Direction::Read), waiter > 1);
        bench.lp.wait(token, Direction::Read, Waiter(waiter)).unwrap();
    }
    bench.sim().peer(peer).write(b"ab").unwrap();
    bench.turn();
    bench.turn();
    let read = |bench: &mut Bench| bench.sim().peer(end).read(&mut [0]).unwrap() == Attempt::Done(1);
    assert!(read(&mut bench));
    serve(&mut bench, token, 1);
    assert_eq!(bench.turn(), ["retry Read 2"]);
    assert!(read(&mut bench));
    serve(&mut bench, token, 2);
    assert_eq!(bench.turn(), ["retry Read 3"]);
    assert!(!read(&mut bench));
    bench.lp.still_waits(token, Direction::Read);
    assert_eq!(bench.turn(), [""; 0]);
    bench.sim().peer(peer).write(b"c").unwrap();
    assert_eq!(bench.run_until_quiet(), ["retry Read 3"]);
}

#[test]
fn rule_2_a_cancelled_waiter_hands_its_turn_on() {
    let (mut bench, token, _, peer) = watching();
    for waiter in 1..=3 {
        bench.lp.wait(token, Direction::Read, Waiter(waiter)).unwrap();
    }
    serve(&mut bench, token, 2);
    assert_eq!(bench.turn(), [""; 0], "it was not its turn");
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.lp.poll().unwrap();
    bench.lp.collect(None);
    serve(&mut bench, token, 1);
    assert!(bench.turn().contains(&"retry Read 3".to_owned()), "the edge was for the one that is gone");
}

#[test]
fn rule_2_waiters_come_before_the_callback() {
    let (mut bench, token, _, peer) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.wait(token, Direction::Read, Waiter(2)).unwrap();
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.turn();
    assert_eq!(bench.turn(), ["retry Read 2", "call 1"]);
}

#[test]
fn a_callback_that_the_retry_removes_is_not_called() {
    let (mut bench, token, _, peer) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.wait(token, Direction::Read, Waiter(2)).unwrap();
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.turn_with(|_, _| ());
    let log = bench.turn_with(|lp, line| {
        if line.starts_with("retry") {
            lp.set_callback(token, Direction::Read, None).ok().unwrap();
        }
    });
    assert_eq!(log, ["retry Read 2"]);
}

#[test]
fn rule_3_a_program_that_receives_in_a_loop_makes_no_registration_calls() {
    let (mut bench, token, end, peer) = watching();
    for round in 0..10 {
        assert_eq!(bench.sim().peer(end).read(&mut [0]), Ok(Attempt::Pending));
        bench.lp.wait(token, Direction::Read, Waiter(round)).unwrap();
        bench.sim().peer(peer).write(b"x").unwrap();
        assert_eq!(bench.run_until_quiet(), [format!("retry Read {round}")]);
        assert_eq!(bench.sim().peer(end).read(&mut [0; 8]), Ok(Attempt::Done(1)));
        serve(&mut bench, token, round);
    }
    let trace = bench.sim().trace().to_string();
    assert_eq!((trace.matches(" attach ").count(), trace.matches(" change ").count()), (1, 0));
    assert!(bench.lp.is_idle(token));
}

#[test]
fn bytes_that_come_between_the_attempt_and_the_wait_are_not_missed() {
    let (mut bench, token, end, peer) = watching();
    bench.lp.wait(token, Direction::Read, Waiter(1)).unwrap();
    serve(&mut bench, token, 1);
    bench.turn();
    assert_eq!(bench.sim().peer(end).read(&mut [0]), Ok(Attempt::Pending));
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.lp.wait(token, Direction::Read, Waiter(2)).unwrap();
    assert_eq!(bench.run_until_quiet(), ["retry Read 2"]);
}

#[test]
fn a_failed_registration_leaves_no_trace() {
    let (mut bench, token, _, peer) = watching();
    bench.sim().fail_next(Operation::Attach, codes::TOO_MANY_WATCHED);
    let refused = bench.lp.set_callback(token, Direction::Read, Some(Call(1)));
    assert_eq!(refused.err(), Some((codes::TOO_MANY_WATCHED, Some(Call(1)))));
    assert_eq!(bench.lp.callback(token, Direction::Read), None);
    bench.sim().fail_next(Operation::Attach, codes::TOO_MANY_WATCHED);
    let refused = bench.lp.wait(token, Direction::Read, Waiter(2));
    assert_eq!(refused, Err((codes::TOO_MANY_WATCHED, Waiter(2))));
    assert!(bench.lp.is_idle(token) && !bench.lp.has_waiters(token, Direction::Read));
    assert_eq!(bench.sim().attached(), 0);

    bench.lp.set_callback(token, Direction::Read, Some(Call(3))).ok().unwrap();
    bench.sim().fail_next(Operation::Change, codes::CLOSED);
    let refused = bench.lp.set_callback(token, Direction::Write, Some(Call(4)));
    assert_eq!(refused.err(), Some((codes::CLOSED, Some(Call(4)))));
    bench.sim().peer(peer).write(b"x").unwrap();
    bench.turn();
    assert_eq!(bench.turn(), ["call 3"], "the former interest still holds");
}

#[test]
fn an_end_of_the_peer_wakes_whoever_waits() {
    let (mut bench, token, _, peer) = watching();
    bench.lp.wait(token, Direction::Read, Waiter(1)).unwrap();
    bench.sim().peer(peer).close();
    assert_eq!(bench.run_until_quiet(), ["retry Read 1"]);
}

#[test]
fn unwatching_hands_everything_back() {
    let (mut bench, token, _, _) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.wait(token, Direction::Write, Waiter(2)).unwrap();
    let remains = bench.lp.unwatch(token).unwrap();
    assert_eq!((remains.owner, remains.callbacks, remains.waiters), (None, vec![Call(1)], vec![Waiter(2)]));
    assert_eq!(bench.sim().open(), 0);
    assert_eq!(bench.turn(), [""; 0]);
    assert!(bench.lp.unwatch(token).is_none());
}

#[test]
fn whoever_waits_is_asked_after_once_a_batch_has_run() {
    let (mut bench, token, _, _) = watching();
    assert!(!bench.lp.rounds_are_due());
    bench.lp.call_soon(Call(1));
    bench.lp.collect(None);
    while bench.lp.next().is_some() {
        bench.lp.wait(token, Direction::Read, Waiter(1)).unwrap();
    }
    bench.lp.wait(token, Direction::Write, Waiter(2)).unwrap();
    bench.lp.flush();
    assert!(bench.lp.timeout(None).is_some(), "a loop that has not asked does not sleep for good");
    assert_eq!(bench.lp.next_on_rounds(), Some((token, Waiter(1))), "one for each descriptor");
    assert_eq!(bench.lp.next_on_rounds(), None);
    assert_eq!(bench.lp.timeout(None), None);
}

#[test]
fn who_is_abandoned_is_handed_back_and_callbacks_stay() {
    let (mut bench, token, _, _) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.wait(token, Direction::Read, Waiter(1)).unwrap();
    bench.lp.wait(token, Direction::Write, Waiter(2)).unwrap();
    assert_eq!(bench.lp.abandon(token), [Waiter(1), Waiter(2)]);
    assert_eq!(bench.lp.callback(token, Direction::Read), Some(&Call(1)));
    assert!(!bench.lp.is_idle(token));
    assert_eq!(bench.lp.abandon(token), []);
}

#[test]
fn a_loop_with_many_who_wait_sleeps_for_good_in_the_end() {
    let mut bench = Bench::new();
    for waiter in 0..1000 {
        let (source, _) = bench.sim().local_pair();
        let token = bench.lp.watch(source);
        bench.lp.wait(token, Direction::Read, Waiter(waiter)).unwrap();
    }
    bench.lp.call_soon(Call(1));
    assert_eq!(bench.run_until_quiet(), ["call 1"]);
    assert!(!bench.lp.rounds_are_due());
}

#[test]
fn a_registration_that_cannot_be_taken_back_ends_the_watch_in_words() {
    let (mut bench, token, _, _) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.wait(token, Direction::Write, Waiter(2)).unwrap();
    bench.sim().fail_next(Operation::Change, codes::TOO_MANY_WATCHED);
    assert_eq!(bench.lp.served(token, Direction::Write, |_| true), Some(Waiter(2)));
    assert_eq!(bench.sim().attached(), 0, "it would be reported as writable for ever");
    let told = format!("watch failed for [Call(1)] and []: {}", codes::TOO_MANY_WATCHED.0);
    assert_eq!(bench.turn(), [told]);
    assert!(bench.lp.unwatch(token).is_none());
}

#[test]
fn who_registers_again_before_hearing_of_a_failure_has_mended_it() {
    let (mut bench, token, _, _) = watching();
    bench.lp.set_callback(token, Direction::Read, Some(Call(1))).ok().unwrap();
    bench.lp.wait(token, Direction::Write, Waiter(2)).unwrap();
    bench.sim().fail_next(Operation::Change, codes::TOO_MANY_WATCHED);
    bench.lp.served(token, Direction::Write, |_| true);
    bench.lp.set_callback(token, Direction::Read, Some(Call(3))).ok().unwrap();
    assert_eq!(bench.turn(), [""; 0]);
    assert_eq!(bench.lp.callback(token, Direction::Read), Some(&Call(3)));
    assert_eq!(bench.sim().attached(), 1);
}
