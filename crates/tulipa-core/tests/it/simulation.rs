//! The simulated world keeps the driver's contract, and breaks what leans on more than it promises.

use std::io::IoSlice;

use tulipa_core::sim::{Chance, EndId, Faults, Seed, SimDriver, SimSource, codes};
use tulipa_core::{Attempt, Completion, Direction, Driver, Interest, Token, Trigger};

const BOTH: Interest = Interest { read: true, write: true, trigger: Trigger::Edge };

fn token(number: u64) -> Token {
    Token::from_bits(number)
}

fn attached(faults: Faults) -> (SimDriver, SimSource, EndId) {
    let mut sim = SimDriver::new(Seed(3), faults);
    let (mut source, peer) = sim.stream_pair();
    sim.attach(token(1), &mut source, BOTH).unwrap();
    (sim, source, peer)
}

fn reports(sim: &mut SimDriver) -> Vec<Completion> {
    sim.poll().unwrap();
    std::iter::from_fn(|| sim.next_completion()).collect()
}

fn flags(sim: &mut SimDriver) -> String {
    let flag = |is: bool, name| if is { name } else { "" };
    let told: Vec<_> = reports(sim)
        .into_iter()
        .map(|report| [flag(report.readable, "r"), flag(report.writable, "w"), flag(report.hangup, "h")].concat())
        .collect();
    told.join(" ")
}

#[test]
fn attaching_reports_what_is_so_already_and_nothing_is_reported_twice() {
    let (mut sim, source, peer) = attached(Faults::none());
    sim.peer(peer).write(b"x").unwrap();
    assert_eq!(flags(&mut sim), "rw");
    assert_eq!(flags(&mut sim), "");
    sim.close(source);
}

#[test]
fn news_without_an_attempt_are_not_reported_again() {
    let (mut sim, mut source, peer) = attached(Faults::none());
    sim.peer(peer).write(b"x").unwrap();
    assert_eq!(flags(&mut sim), "rw");
    sim.peer(peer).write(b"y").unwrap();
    assert_eq!(flags(&mut sim), "", "as on a one-shot poller: nobody has read yet");
    assert_eq!(sim.read(&mut source, &mut [0]), Ok(Attempt::Done(1)));
    assert_eq!(flags(&mut sim), "", "the read filled its buffer: the reader must read on by itself");
    assert_eq!(sim.read(&mut source, &mut [0; 9]), Ok(Attempt::Done(1)));
    sim.peer(peer).write(b"z").unwrap();
    assert_eq!(flags(&mut sim), "r");
    sim.close(source);
}

#[test]
#[should_panic(expected = "was asked to Read again without a completion")]
fn asking_again_without_a_completion_is_a_bug() {
    let (mut sim, mut source, _) = attached(Faults::none());
    assert_eq!(sim.read(&mut source, &mut [0]), Ok(Attempt::Pending));
    let _ = sim.read(&mut source, &mut [0]);
}

#[test]
#[should_panic(expected = "is attached already")]
fn attaching_twice_is_a_bug() {
    let (mut sim, mut source, _) = attached(Faults::none());
    let _ = sim.attach(token(2), &mut source, BOTH);
}

#[test]
fn room_is_reported_after_a_short_write_once_the_peer_has_read() {
    let (mut sim, mut source, peer) = attached(Faults { buffer_bytes: (4, 4), ..Faults::none() });
    assert_eq!(flags(&mut sim), "w");
    assert_eq!(sim.write(&mut source, &[IoSlice::new(b"123"), IoSlice::new(b"456")]), Ok(Attempt::Done(4)));
    assert_eq!(flags(&mut sim), "");
    let mut into = [0; 9];
    assert_eq!(sim.peer(peer).read(&mut into), Ok(Attempt::Done(4)));
    assert_eq!(&into[..4], b"1234");
    assert_eq!(flags(&mut sim), "w");
    sim.close(source);
}

#[test]
fn an_end_is_told_with_a_hangup_and_without_where_the_kernel_cannot() {
    for tells_hangup in [true, false] {
        let (mut sim, mut source, peer) = attached(Faults { tells_hangup, ..Faults::none() });
        sim.peer(peer).write(b"x").unwrap();
        sim.peer(peer).close();
        assert_eq!(flags(&mut sim), if tells_hangup { "rwh" } else { "rw" });
        assert_eq!(sim.read(&mut source, &mut [0; 9]), Ok(Attempt::Done(1)));
        // Who was told of the end reads on; who was not is told again.
        assert_eq!(flags(&mut sim), if tells_hangup { "" } else { "r" });
        assert_eq!(sim.read(&mut source, &mut [0; 9]), Ok(Attempt::Done(0)));
        sim.close(source);
    }
}

#[test]
fn level_triggered_reports_last() {
    let mut sim = SimDriver::calm();
    let (mut source, peer) = sim.local_pair();
    sim.attach(token(1), &mut source, Interest { read: true, write: false, trigger: Trigger::Level }).unwrap();
    assert_eq!(flags(&mut sim), "");
    sim.peer(peer).write(b"x").unwrap();
    assert_eq!((flags(&mut sim), flags(&mut sim)), ("r".to_owned(), "r".to_owned()));
    sim.detach(&mut source);
    assert_eq!(flags(&mut sim), "");
    sim.close(source);
}

#[test]
fn rearming_lets_the_next_change_be_reported() {
    let (mut sim, mut source, peer) = attached(Faults::none());
    let end = source.id();
    sim.peer(peer).write(b"x").unwrap();
    assert_eq!(flags(&mut sim), "rw");
    assert_eq!(sim.peer(end).read(&mut [0; 9]), Ok(Attempt::Done(1)));
    sim.peer(peer).write(b"y").unwrap();
    assert_eq!(flags(&mut sim), "", "the owner has not said that it tried");
    sim.rearm(&mut source, Direction::Read);
    assert_eq!(flags(&mut sim), "r");
    sim.close(source);
}

#[test]
fn an_old_token_may_be_heard_of_after_its_source_is_closed() {
    let (mut sim, source, _) = attached(Faults { stale: Chance::percent(100.0), ..Faults::none() });
    sim.close(source);
    let stale = reports(&mut sim);
    assert_eq!(stale, [Completion { token: token(1), readable: true, writable: true, hangup: true }]);
    assert_eq!(reports(&mut sim), []);
}

#[test]
fn a_connection_closed_with_bytes_unread_is_reset() {
    let mut sim = SimDriver::calm();
    let (source, peer) = sim.stream_pair();
    sim.peer(peer).write(b"never read").unwrap();
    sim.poll().unwrap();
    sim.close(source);
    sim.poll().unwrap();
    assert_eq!(sim.peer(peer).read(&mut [0]), Err(codes::RESET));
    assert_eq!(sim.peer(peer).write(b"x"), Err(codes::RESET));
}

#[test]
fn writing_to_a_closed_peer_breaks_at_once_here_and_after_a_while_over_a_network() {
    let mut sim = SimDriver::calm();
    let (near, peer) = sim.local_pair();
    let (far, remote) = sim.stream_pair();
    sim.peer(peer).close();
    sim.peer(remote).close();
    sim.poll().unwrap();
    assert_eq!(sim.peer(near.id()).write(b"x"), Err(codes::BROKEN_PIPE));
    assert_eq!(sim.peer(far.id()).write(b"x"), Ok(Attempt::Done(1)));
    sim.poll().unwrap();
    sim.poll().unwrap();
    assert_eq!(sim.peer(far.id()).write(b"x"), Err(codes::RESET));
    sim.close(near);
    sim.close(far);
    assert_eq!(sim.open(), 0);
}

#[test]
fn a_backlog_has_an_end() {
    let mut sim = SimDriver::calm();
    let (source, address) = sim.listener(2);
    assert!(sim.connect(address).is_ok() && sim.connect(address).is_ok());
    assert_eq!(sim.connect(address), Err(codes::REFUSED));
    sim.close(source);
    assert_eq!(sim.connect(address), Err(codes::REFUSED));
}
