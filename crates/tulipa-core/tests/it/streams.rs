//! The rules on top of `stream/mod.rs`, one by one.

use tulipa_core::sim::{Chance, EndId, Faults, Operation, codes};
use tulipa_core::{Attempt, Ends, Token, Written};

use crate::bench::Bench;
use crate::host::{Call, Owner};

/// A bench with one network stream that has begun, owned by 1.
fn begun(faults: Faults) -> (Bench, Token, EndId) {
    let mut bench = Bench::with(faults);
    let (source, peer) = bench.sim().stream_pair();
    let token = bench.lp.open_stream(source, Owner(1), Ends::Both);
    assert_eq!(bench.turn(), ["made 1"]);
    (bench, token, peer)
}

fn small_buffers(bytes: usize) -> Faults {
    Faults { buffer_bytes: (bytes, bytes), ..Faults::none() }
}

fn peer_reads(bench: &mut Bench, peer: EndId) -> String {
    bench.turn();
    let mut into = [0; 4096];
    match bench.sim().peer(peer).read(&mut into) {
        Ok(Attempt::Done(0)) => "end".to_owned(),
        Ok(Attempt::Done(count)) => String::from_utf8_lossy(&into[..count]).into_owned(),
        Ok(Attempt::Pending) => "nothing".to_owned(),
        Err(code) => format!("error {}", code.0),
    }
}

fn writes(bench: &mut Bench) -> usize {
    bench.sim().trace().to_string().matches(" write ").count()
}

#[test]
fn rule_1_bytes_leave_in_order_however_they_are_cut() {
    let (mut bench, token, peer) = begun(small_buffers(3));
    for word in ["one ", "two ", "three"] {
        bench.lp.write(token, word.into());
    }
    bench.lp.close(token);
    let mut arrived = String::new();
    for _ in 0..100 {
        match peer_reads(&mut bench, peer).as_str() {
            "end" => break,
            "nothing" => {}
            more => arrived += more,
        }
    }
    assert_eq!(arrived, "one two three");
}

#[test]
fn rule_1_a_failed_write_ends_the_stream_with_its_code() {
    let (mut bench, token, _) = begun(Faults::none());
    bench.sim().fail_next(Operation::Write, codes::RESET);
    bench.begin_turn();
    bench.lp.write(token, b"x".to_vec());
    assert!(!bench.lp.is_closing(token));
    bench.lp.flush();
    assert!(bench.lp.is_closing(token));
    assert_eq!(bench.lp.write(token, b"y".to_vec()), Written::Dropped);
    assert_eq!(bench.turn(), ["lost 1: 104"]);
}

#[test]
fn what_closes_with_bytes_left_takes_more_unless_it_is_a_pipe() {
    for pipe in [false, true] {
        let mut bench = Bench::with(small_buffers(3));
        let (source, peer) = if pipe { bench.sim().pipe_out() } else { bench.sim().stream_pair() };
        let ends = if pipe { Ends::Write { watch_peer: true } } else { Ends::Both };
        let token = bench.lp.open_stream(source, Owner(1), ends);
        bench.turn();
        bench.lp.write(token, b"before".to_vec());
        bench.lp.close(token);
        assert_eq!(bench.lp.write(token, b" after".to_vec()) == Written::Dropped, pipe);
        let mut arrived = String::new();
        for _ in 0..100 {
            match peer_reads(&mut bench, peer).as_str() {
                "end" => break,
                "nothing" => {}
                more => arrived += more,
            }
        }
        assert_eq!(arrived, if pipe { "before" } else { "before after" });
    }
}

#[test]
fn rule_2_what_one_turn_writes_leaves_in_one_call() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.begin_turn();
    bench.lp.write(token, b"header ".to_vec());
    bench.lp.write(token, b"body".to_vec());
    assert_eq!(writes(&mut bench), 0);
    bench.lp.flush();
    assert_eq!(writes(&mut bench), 1);
    assert_eq!(peer_reads(&mut bench, peer), "header body");
    bench.turn();
    assert_eq!(writes(&mut bench), 1, "nothing is written twice");
}

#[test]
fn rule_2_a_turn_that_writes_much_sends_it_between_two_steps() {
    let (mut bench, token, _) = begun(small_buffers(1 << 20));
    bench.lp.set_marks(token, 1 << 20, 0);
    for call in 1..=3 {
        bench.lp.call_soon(Call(call));
    }
    let mut seen = Vec::new();
    bench.begin_turn();
    while bench.lp.next().is_some() {
        seen.push(writes(&mut bench));
        bench.lp.write(token, vec![b'h'; 40 * 1024]);
        bench.lp.write(token, vec![b'b'; 40 * 1024]);
        assert_eq!(writes(&mut bench), seen[seen.len() - 1], "what one step writes leaves together");
    }
    bench.lp.flush();
    assert_eq!(seen, [0, 1, 2]);
    assert_eq!(writes(&mut bench), 3);
}

#[test]
fn rule_2_what_is_written_outside_a_turn_leaves_at_once() {
    let (mut bench, token, _) = begun(Faults::none());
    bench.lp.write(token, b"one".to_vec());
    bench.lp.write(token, b"two".to_vec());
    assert_eq!(writes(&mut bench), 2);
    assert_eq!(bench.lp.timeout(None), None, "nothing is left to flush");
}

#[test]
fn rule_2_a_loop_with_something_to_flush_does_not_wait() {
    let (mut bench, token, _) = begun(Faults::none());
    assert_eq!(bench.lp.timeout(None), None);
    bench.begin_turn();
    bench.lp.write(token, b"x".to_vec());
    assert_eq!(bench.lp.timeout(None), Some(0.0));
}

#[test]
fn rule_2_only_what_the_world_refuses_counts_against_the_high_mark() {
    let (mut bench, token, peer) = begun(small_buffers(10));
    bench.begin_turn();
    assert!(!bench.lp.set_marks(token, 4, 2));
    assert_eq!(bench.lp.write(token, vec![b'a'; 10]), Written::Queued, "the world took all");
    assert_eq!(bench.lp.write(token, vec![b'b'; 4]), Written::Queued, "the mark itself is still dry");
    assert_eq!(bench.lp.write(token, vec![b'c'; 1]), Written::Pause);
    assert_eq!(bench.lp.write(token, vec![b'd'; 1]), Written::Queued, "said once");
    assert_eq!(bench.lp.buffer_size(token), 6);
    assert_eq!(peer_reads(&mut bench, peer), "aaaaaaaaaa");
    assert_eq!(bench.turn(), ["resume 1"]);
    assert_eq!(bench.lp.buffer_size(token), 0);
}

#[test]
fn rule_2_lower_marks_count_only_what_the_world_refuses() {
    let (mut bench, token, _) = begun(small_buffers(10));
    bench.begin_turn();
    bench.lp.write(token, vec![b'a'; 10]);
    assert!(!bench.lp.set_marks(token, 4, 2), "nothing was refused");
    bench.lp.write(token, vec![b'b'; 3]);
    assert!(bench.lp.set_marks(token, 2, 1), "three bytes were");
    assert!(!bench.lp.set_marks(token, 1, 1), "said once");
}

#[test]
fn rule_2_asking_for_the_size_writes_first() {
    let (mut bench, token, _) = begun(small_buffers(10));
    bench.begin_turn();
    bench.lp.write(token, vec![b'a'; 12]);
    assert_eq!(bench.lp.buffer_size(token), 2);
}

#[test]
fn rule_2_eof_close_and_abort_write_first() {
    for (end, rest) in [("eof", "end"), ("close", "end"), ("abort", "end")] {
        let (mut bench, token, peer) = begun(Faults::none());
        bench.begin_turn();
        bench.lp.write(token, b"last words".to_vec());
        match end {
            "eof" => bench.lp.write_eof(token),
            "close" => bench.lp.close(token),
            _ => assert!(bench.lp.abort(token)),
        }
        assert_eq!(writes(&mut bench), 1, "{end}");
        assert_eq!(peer_reads(&mut bench, peer), "last words", "{end}");
        bench.turn();
        assert_eq!(peer_reads(&mut bench, peer), rest, "{end}");
    }
}

#[test]
fn rule_2_clearing_the_loop_writes_first() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.begin_turn();
    bench.lp.write(token, b"last words".to_vec());
    assert_eq!(writes(&mut bench), 0);
    bench.lp.clear();
    assert_eq!(peer_reads(&mut bench, peer), "last words");
    assert_eq!(bench.sim().open(), 0);
}

#[test]
fn what_is_written_in_the_background_counts_until_it_is_done() {
    let faults = Faults { background_writes: Chance::percent(100.0), latency_secs: (0.01, 0.01), ..Faults::none() };
    let (mut bench, token, peer) = begun(faults);
    bench.lp.set_marks(token, 5, 2);
    assert_eq!(bench.lp.write(token, b"one two ".to_vec()), Written::Pause);
    assert_eq!(bench.lp.buffer_size(token), 8);
    bench.lp.write(token, b"three".to_vec());
    bench.lp.close(token);
    assert_eq!(bench.turn(), [""; 0], "the disk is slow");
    assert_eq!(bench.lp.buffer_size(token), 13);
    let log = bench.run_until_quiet();
    assert!(log.last().is_some_and(|last| last.starts_with("lost 1")), "{log:?}");
    assert_eq!(peer_reads(&mut bench, peer), "one two three");
}

#[test]
fn clearing_the_loop_waits_for_what_is_written_in_the_background() {
    let faults = Faults { background_writes: Chance::percent(100.0), ..small_buffers(6) };
    let (mut bench, token, peer) = begun(faults);
    bench.lp.write(token, b"one ".to_vec());
    bench.lp.write(token, b"two ".to_vec());
    assert_eq!(bench.lp.buffer_size(token), 8, "the first is under way");
    bench.lp.clear();
    assert_eq!(peer_reads(&mut bench, peer), "one tw", "as much as there is room for");
    assert_eq!(bench.sim().open(), 0);
}

#[test]
fn rule_3_connection_lost_comes_once_whatever_ends_the_stream() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.lp.write(token, b"x".to_vec());
    bench.sim().peer(peer).reset();
    bench.lp.close(token);
    assert!(!bench.lp.abort(token), "closed with nothing left is lost already");
    bench.lp.fail(token, Some(codes::TIMED_OUT));
    bench.lp.close(token);
    assert_eq!(bench.turn(), ["lost 1"], "the first reason counts");
    assert_eq!(bench.run_until_quiet(), [""; 0]);
    assert_eq!(bench.sim().open(), 0);
}

#[test]
fn rule_3_a_stream_that_drains_is_lost_when_the_last_byte_is_written() {
    let (mut bench, token, peer) = begun(small_buffers(4));
    bench.lp.write(token, b"12345678".to_vec());
    bench.lp.close(token);
    assert_eq!(bench.turn(), [""; 0], "the world took half of it");
    assert_eq!(peer_reads(&mut bench, peer), "1234");
    assert_eq!(bench.turn(), ["lost 1"]);
    assert_eq!(peer_reads(&mut bench, peer), "5678");
    assert_eq!(peer_reads(&mut bench, peer), "end");
}

#[test]
fn rule_4_a_paused_stream_reads_nothing_and_forgets_nothing() {
    let (mut bench, token, peer) = begun(Faults::none());
    assert!(bench.lp.pause_reading(token));
    assert!(!bench.lp.pause_reading(token));
    bench.sim().peer(peer).write(b"early").unwrap();
    assert_eq!(bench.run_until_quiet(), [""; 0]);
    assert!(bench.lp.resume_reading(token));
    assert!(!bench.lp.resume_reading(token));
    assert_eq!(bench.run_until_quiet(), ["data 1: early"]);
}

#[test]
fn rule_4_pausing_between_the_report_and_the_read_is_in_time() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.sim().peer(peer).write(b"early").unwrap();
    bench.lp.poll().unwrap();
    bench.lp.collect(None);
    bench.lp.pause_reading(token);
    assert_eq!(bench.turn(), ["nothing 1"]);
    bench.lp.resume_reading(token);
    assert_eq!(bench.turn(), ["data 1: early"]);
}

#[test]
fn rule_4_a_stream_paused_in_connection_made_stays_paused() {
    let mut bench = Bench::new();
    let (source, peer) = bench.sim().stream_pair();
    let token = bench.lp.open_stream(source, Owner(1), Ends::Both);
    bench.lp.pause_reading(token);
    bench.sim().peer(peer).write(b"x").unwrap();
    assert_eq!(bench.run_until_quiet(), ["made 1"]);
    bench.lp.resume_reading(token);
    assert_eq!(bench.run_until_quiet(), ["data 1: x"]);
}

#[test]
fn a_read_that_fills_its_buffer_is_followed_by_another_and_a_short_one_by_none() {
    let (mut bench, _, peer) = begun(Faults::none());
    bench.read_size = 4;
    bench.sim().peer(peer).write(b"12345678ab").unwrap();
    assert_eq!(bench.run_until_quiet(), ["data 1: 1234", "data 1: 5678", "data 1: ab"]);
}

#[test]
fn calls_made_meanwhile_come_before_the_rest_of_what_has_arrived() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.read_size = 4;
    bench.sim().peer(peer).write(b"12345678").unwrap();
    assert_eq!(bench.turn(), ["data 1: 1234"]);
    bench.lp.call_soon(Call(2));
    assert_eq!(bench.turn(), ["call 2", "data 1: 5678"]);
    assert_eq!(bench.run_until_quiet(), ["nothing 1"]);
    bench.lp.pause_reading(token);
    bench.sim().peer(peer).write(b"more").unwrap();
    assert_eq!(bench.run_until_quiet(), [""; 0]);
    bench.lp.resume_reading(token);
    bench.lp.call_soon(Call(3));
    assert_eq!(bench.turn(), ["call 3", "data 1: more"]);
}

#[test]
fn write_eof_with_nothing_to_write_is_done_at_once() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.lp.write_eof(token);
    assert_eq!(bench.sim().trace().to_string().matches("finish").count(), 1, "before the turn ends");
    assert_eq!(peer_reads(&mut bench, peer), "end");
}

#[test]
fn after_the_end_the_owner_may_go_on_writing() {
    let (mut bench, token, peer) = begun(Faults::none());
    bench.keep_open = true;
    bench.sim().peer(peer).write(b"request").unwrap();
    bench.sim().peer(peer).finish_write().unwrap();
    assert_eq!(bench.run_until_quiet(), ["data 1: request", "eof 1"]);
    assert!(bench.lp.is_reading(token), "as on asyncio, which asks only whether it is paused");
    assert!(bench.lp.pause_reading(token) && !bench.lp.is_reading(token));
    assert!(bench.lp.resume_reading(token) && bench.lp.is_reading(token));
    bench.lp.write(token, b"answer".to_vec());
    bench.lp.write_eof(token);
    assert_eq!(peer_reads(&mut bench, peer), "answer");
    assert_eq!(peer_reads(&mut bench, peer), "end");
}

#[test]
fn after_the_end_a_stream_closes_unless_told_otherwise() {
    let (mut bench, _, peer) = begun(Faults::none());
    bench.sim().peer(peer).close();
    assert_eq!(bench.run_until_quiet(), ["eof 1", "lost 1"]);
}

#[test]
fn a_reset_is_found_by_reading_and_by_writing() {
    let (mut bench, _, peer) = begun(Faults::none());
    bench.sim().peer(peer).reset();
    assert_eq!(bench.run_until_quiet(), ["failed 1: 104", "lost 1: 104"]);
    let (mut bench, token, peer) = begun(small_buffers(2));
    bench.lp.pause_reading(token);
    bench.lp.write(token, b"123".to_vec());
    bench.sim().peer(peer).reset();
    assert_eq!(bench.run_until_quiet(), ["lost 1: 104"]);
}

#[test]
fn a_stream_that_only_writes_ends_when_its_reader_goes() {
    for (queued, lost) in [(false, "lost 1"), (true, "lost 1: 32")] {
        let mut bench = Bench::with(small_buffers(2));
        let (source, peer) = bench.sim().pipe_out();
        let token = bench.lp.open_stream(source, Owner(1), Ends::Write { watch_peer: true });
        bench.turn();
        if queued {
            bench.lp.write(token, b"123".to_vec());
        }
        bench.turn();
        bench.sim().peer(peer).close();
        assert_eq!(bench.run_until_quiet(), [lost]);
    }
}

#[test]
fn a_pipe_that_is_read_ends_with_its_writer() {
    let mut bench = Bench::new();
    let (source, peer) = bench.sim().pipe_in();
    bench.lp.open_stream(source, Owner(1), Ends::Read);
    bench.sim().peer(peer).write(b"all").unwrap();
    bench.sim().peer(peer).close();
    assert_eq!(bench.run_until_quiet(), ["made 1", "data 1: all", "eof 1", "lost 1"]);
}

#[test]
fn ending_what_a_write_only_stream_writes_ends_the_stream() {
    let mut bench = Bench::new();
    let (source, peer) = bench.sim().pipe_out();
    let token = bench.lp.open_stream(source, Owner(1), Ends::Write { watch_peer: true });
    bench.turn();
    bench.lp.write(token, b"all".to_vec());
    bench.lp.write_eof(token);
    assert_eq!(bench.turn(), ["lost 1"]);
    assert_eq!(peer_reads(&mut bench, peer), "all");
    assert_eq!(peer_reads(&mut bench, peer), "end");
}

#[test]
fn drained_comes_once_and_only_if_something_was_left() {
    let (mut bench, token, peer) = begun(small_buffers(4));
    bench.lp.write(token, b"1234".to_vec());
    assert!(bench.lp.tell_drained(token), "the world took all");
    bench.lp.write(token, b"5678".to_vec());
    assert!(!bench.lp.tell_drained(token));
    assert_eq!(bench.turn(), [""; 0]);
    peer_reads(&mut bench, peer);
    assert_eq!(bench.run_until_quiet(), ["drained 1"]);
    assert_eq!(bench.run_until_quiet(), [""; 0]);
}

#[test]
fn a_stream_closed_in_connection_made_is_never_attached() {
    let mut bench = Bench::new();
    let (source, _) = bench.sim().stream_pair();
    let token = bench.lp.open_stream(source, Owner(1), Ends::Both);
    bench.lp.close(token);
    assert_eq!(bench.turn(), ["made 1", "lost 1"]);
    assert!(!bench.sim().trace().to_string().contains("attach"));
    assert_eq!(bench.sim().open(), 0);
}

#[test]
fn a_stream_that_cannot_be_attached_is_lost_with_the_reason() {
    let mut bench = Bench::new();
    let (source, _) = bench.sim().stream_pair();
    bench.lp.open_stream(source, Owner(1), Ends::Both);
    bench.sim().fail_next(Operation::Attach, codes::TOO_MANY_WATCHED);
    assert_eq!(bench.run_until_quiet(), ["made 1, not begun: 28", "lost 1: 28"]);
    assert_eq!(bench.sim().open(), 0);
}

#[test]
fn what_connection_made_writes_before_the_stream_is_attached_arrives() {
    let mut bench = Bench::with(small_buffers(3));
    let (source, peer) = bench.sim().stream_pair();
    let token = bench.lp.open_stream(source, Owner(1), Ends::Both);
    bench.lp.write(token, b"12345".to_vec());
    assert_eq!(bench.lp.buffer_size(token), 2);
    assert_eq!(peer_reads(&mut bench, peer), "123");
    bench.turn();
    assert_eq!(peer_reads(&mut bench, peer), "45");
}
