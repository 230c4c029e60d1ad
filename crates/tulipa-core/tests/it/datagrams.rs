//! Datagram sockets, one rule at a time.

use tulipa_core::sim::{EndId, Faults, Operation, SimAddress, codes};
use tulipa_core::{Attempt, Instant, Sent, Token};

use crate::bench::Bench;
use crate::host::{Call, Owner, SimLoop};

struct Socket {
    token: Token,
    peer: EndId,
    peer_address: SimAddress,
    address: SimAddress,
}

/// A bench with one socket that has begun, connected to a peer, owned by 1, with room for `bytes` on their way.
fn begun(bytes: usize) -> (Bench, Socket) {
    let faults = Faults { buffer_bytes: (bytes, bytes), latency_secs: (0.01, 0.01), turn_secs: 1e-4, ..Faults::none() };
    let mut bench = Bench::with(faults);
    let (peer, peer_address) = bench.sim().world_datagram(None);
    let (source, address) = bench.sim().datagram(Some(peer_address));
    let token = bench.lp.open_datagram(source, Owner(1));
    assert_eq!(bench.turn(), ["made 1"]);
    (bench, Socket { token, peer, peer_address, address })
}

fn peer_receives(bench: &mut Bench, peer: EndId) -> Vec<String> {
    let mut into = [0; 64];
    let mut all = Vec::new();
    while let Ok(Attempt::Done((count, _))) = bench.sim().peer(peer).receive(&mut into) {
        all.push(String::from_utf8_lossy(&into[..count]).into_owned());
    }
    all
}

#[test]
fn a_datagram_goes_out_at_once_if_there_is_room() {
    let (mut bench, Socket { token, peer, .. }) = begun(100);
    assert_eq!(bench.lp.send(token, b"one".to_vec(), None), Sent::Accepted);
    assert_eq!(bench.lp.buffer_size(token), 0);
    bench.run_until_quiet();
    assert_eq!(peer_receives(&mut bench, peer), ["one"]);
}

#[test]
fn datagrams_queue_in_order_and_count_with_a_header() {
    let (mut bench, Socket { token, peer, .. }) = begun(6);
    for word in ["one", "two", "333", "4"] {
        assert_eq!(bench.lp.send(token, word.into(), None), Sent::Accepted);
    }
    assert_eq!(bench.lp.buffer_size(token), (3 + 8) + (1 + 8));
    assert_eq!(bench.run_until_quiet(), [""; 0]);
    assert_eq!(bench.lp.buffer_size(token), 0);
    assert_eq!(peer_receives(&mut bench, peer), ["one", "two", "333", "4"]);
}

#[test]
fn the_marks_pause_and_resume_the_sender() {
    let (mut bench, Socket { token, .. }) = begun(6);
    assert!(!bench.lp.set_marks(token, 10, 0));
    for word in ["one", "two"] {
        assert_eq!(bench.lp.send(token, word.into(), None), Sent::Accepted);
    }
    assert_eq!(bench.lp.send(token, b"333".to_vec(), None), Sent::Pause);
    assert_eq!(bench.lp.send(token, b"444".to_vec(), None), Sent::Accepted, "said once");
    assert_eq!(bench.run_until_quiet(), ["resume 1"]);
}

#[test]
fn an_error_concerns_one_datagram_and_comes_before_what_follows_from_the_queue() {
    let (mut bench, Socket { token, peer, .. }) = begun(6);
    bench.lp.set_marks(token, 10, 10);
    for word in ["one", "two", "333", "44"] {
        bench.lp.send(token, word.into(), None);
    }
    bench.sim().fail_next(Operation::Send, codes::REFUSED);
    let mut paused_again = None;
    bench.turn();
    let mut log = Vec::new();
    for _ in 0..1000 {
        log.extend(bench.turn_with(|lp, line| {
            if line.starts_with("send failed") {
                // The writer is still paused here; it must not be told so again.
                paused_again = Some(lp.send(token, vec![b'5'; 3], None));
            }
        }));
    }
    assert_eq!(paused_again, Some(Sent::Accepted));
    assert_eq!(log, ["send failed 1: 111", "resume 1"]);
    assert_eq!(peer_receives(&mut bench, peer), ["one", "two", "44", "555"]);
}

#[test]
fn an_error_at_once_is_an_answer_and_not_an_end() {
    let (mut bench, Socket { token, .. }) = begun(6);
    assert_eq!(bench.lp.send(token, vec![0; 100], None), Sent::Failed(codes::MESSAGE_TOO_LONG));
    assert!(!bench.lp.is_closing(token));
}

#[test]
fn closing_waits_for_the_queue_and_aborting_does_not() {
    let (mut bench, Socket { token, peer, .. }) = begun(6);
    for word in ["one", "two", "333"] {
        bench.lp.send(token, word.into(), None);
    }
    bench.lp.close(token);
    assert!(bench.lp.is_closing(token) && !bench.lp.is_reading(token));
    assert_eq!(bench.turn(), [""; 0]);
    assert_eq!(bench.run_until_quiet(), ["lost 1"]);
    assert_eq!(peer_receives(&mut bench, peer), ["one", "two", "333"]);

    let (mut bench, Socket { token, peer, .. }) = begun(6);
    bench.lp.set_marks(token, 0, 0);
    for word in ["one", "two", "333"] {
        bench.lp.send(token, word.into(), None);
    }
    assert!(bench.lp.abort(token));
    assert_eq!(bench.lp.send(token, b"4".to_vec(), None), Sent::Dropped);
    assert_eq!(bench.run_until_quiet(), ["lost 1"], "and no resume_writing");
    assert_eq!(peer_receives(&mut bench, peer), ["one", "two"]);
}

#[test]
fn a_socket_that_cannot_be_waited_for_is_lost_with_the_reason() {
    let (mut bench, Socket { token, .. }) = begun(6);
    bench.sim().fail_next(Operation::Change, codes::CLOSED);
    bench.lp.pause_reading(token);
    assert_eq!(bench.turn(), ["lost 1: 9"]);
}

#[test]
fn a_paused_socket_receives_nothing_until_it_goes_on() {
    let (mut bench, Socket { token, peer, peer_address, address }) = begun(100);
    assert!(bench.lp.pause_reading(token) && !bench.lp.pause_reading(token));
    bench.sim().peer(peer).send(b"hello", Some(address)).unwrap();
    assert_eq!(bench.run_until_quiet(), [""; 0]);
    assert_eq!(bench.lp.receive(token, &mut [0; 9]), Ok(None));
    assert!(bench.lp.resume_reading(token) && !bench.lp.resume_reading(token));
    bench.reads = false;
    assert_eq!(bench.turn(), ["readable 1"]);
    let mut into = [0; 9];
    assert_eq!(bench.lp.receive(token, &mut into), Ok(Some((5, Some(peer_address)))));
    assert_eq!(&into[..5], b"hello");
}

#[test]
fn an_answer_that_nobody_is_there_reaches_the_owner() {
    let (mut bench, Socket { token, peer, .. }) = begun(100);
    bench.sim().peer(peer).close();
    bench.lp.send(token, b"anybody?".to_vec(), None);
    bench.reads = false;
    while bench.lp.now().as_secs() < 1000.03 {
        bench.turn();
    }
    assert_eq!(bench.turn(), ["readable 1"]);
    assert_eq!(bench.lp.receive(token, &mut [0]), Err(codes::REFUSED));
    assert!(!bench.lp.is_closing(token));
}

#[test]
fn empty_datagrams_are_datagrams() {
    let (mut bench, Socket { token, peer, .. }) = begun(100);
    bench.lp.send(token, Vec::new(), None);
    bench.run_until_quiet();
    assert_eq!(peer_receives(&mut bench, peer), [""]);
}

/// A bench as [`begun`] makes it, with so many datagrams there.
fn with_arrived(count: usize) -> (Bench, Socket) {
    let (mut bench, socket) = begun(1000);
    send(&mut bench, &socket, count);
    (bench, socket)
}

fn send(bench: &mut Bench, socket: &Socket, count: usize) {
    for number in 0..count {
        bench.sim().peer(socket.peer).send(number.to_string().as_bytes(), Some(socket.address)).unwrap();
    }
    let landed = bench.lp.now().as_secs() + 0.1;
    bench.reads = false;
    while bench.lp.now().as_secs() < landed {
        bench.turn();
    }
    bench.reads = true;
    bench.receives = 0;
}

fn datagrams(numbers: std::ops::Range<usize>) -> Vec<String> {
    numbers.map(|number| format!("datagram 1: {number}")).collect()
}

#[test]
fn what_has_arrived_is_taken_in_a_row() {
    let (mut bench, _) = with_arrived(5);
    let mut expected = datagrams(0..5);
    expected.push("nothing 1".to_owned());
    assert_eq!(bench.turn(), expected);
}

#[test]
fn a_row_ends_so_that_others_have_their_turn() {
    let (mut bench, _) = with_arrived(40);
    bench.lp.call_at(Instant::from_secs(0.0), Call(1));
    let mut expected = datagrams(0..32);
    expected.push("call 1".to_owned());
    assert_eq!(bench.turn(), expected);
    assert_eq!(bench.receives, 32, "nothing is asked in vain");
    assert_eq!(bench.turn()[..8], datagrams(32..40));
}

#[test]
fn what_a_datagram_schedules_comes_before_the_next_one() {
    let (mut bench, _) = with_arrived(3);
    bench.lp.call_soon(Call(1));
    let schedules = |lp: &mut SimLoop, line: &str| {
        if line == "datagram 1: 0" {
            lp.call_soon(Call(2));
        }
    };
    assert_eq!(bench.turn_with(schedules), ["call 1", "datagram 1: 0"]);
    assert_eq!(bench.turn()[..3], ["call 2", "datagram 1: 1", "datagram 1: 2"]);
}

#[test]
fn what_another_thread_schedules_meanwhile_comes_before_the_next_one() {
    let (mut bench, _) = with_arrived(2);
    let (inbox, waker) = (bench.inbox.clone(), bench.sim().waker());
    assert_eq!(bench.turn_with(|_, _| inbox.push(Call(1), &waker)), ["datagram 1: 0"]);
    assert_eq!(bench.turn()[..2], ["call 1", "datagram 1: 1"]);
}

#[test]
fn calls_that_were_there_before_do_not_end_a_row() {
    let (mut bench, _) = with_arrived(2);
    bench.lp.call_soon(Call(1));
    let again = |lp: &mut SimLoop, line: &str| {
        if line == "call 1" {
            lp.call_soon(Call(2));
        }
    };
    assert_eq!(bench.turn_with(again)[..3], ["call 1", "datagram 1: 0", "datagram 1: 1"]);
}

#[test]
fn a_row_ends_where_its_socket_stops() {
    let stops: [fn(&mut SimLoop, Token); 3] = [
        |lp, token| lp.close(token),
        |lp, token| assert!(lp.abort(token)),
        |lp, token| assert!(lp.pause_reading(token)),
    ];
    for stop in stops {
        let (mut bench, Socket { token, .. }) = with_arrived(3);
        let log = bench.turn_with(|lp, line| {
            if line == "datagram 1: 1" {
                stop(lp, token);
            }
        });
        assert_eq!(log, datagrams(0..2));
        bench.lp.resume_reading(token);
        let rest = bench.run_until_quiet();
        assert!(rest == ["lost 1"] || rest[0] == "datagram 1: 2", "{rest:?}");
    }
}

#[test]
fn an_error_is_one_of_a_row() {
    let (mut bench, _) = with_arrived(2);
    bench.sim().fail_next(Operation::Receive, codes::REFUSED);
    assert_eq!(bench.turn()[..3], ["failed 1: 111", "datagram 1: 0", "datagram 1: 1"]);
}

#[test]
fn a_peer_that_waits_for_answers_costs_next_to_no_vain_attempt() {
    let (mut bench, socket) = begun(1000);
    let mut receives = 0;
    for _ in 0..1000 {
        send(&mut bench, &socket, 1);
        while !bench.turn().is_empty() {}
        receives += bench.receives;
    }
    assert!(receives < 1030, "{receives}");
    send(&mut bench, &socket, 200);
    let turns = (0..).take_while(|_| !bench.turn().is_empty()).count();
    assert!(turns < 80, "a crowd is soon taken in rows: {turns} turns");
}
