//! How often things are reported: edges once, levels for as long as they last.

use std::io::{Read, Write};

use tulipa_core::{Direction, Driver};
use tulipa_sys::{Descriptor, Source};

use crate::world::{BOTH, READ, WRITE, epoll_entries, level, on_every_driver, tcp, unix};

#[test]
fn an_edge_is_reported_once_until_the_next_attempt_is_vain() {
    on_every_driver(|world| {
        let (mut source, mut peer) = tcp();
        let token = world.attach(&mut source, READ);
        peer.write_all(b"first").expect("sent");
        world.readable(token);
        world.silent(token);
        assert!(world.read(&mut source).is_some());
        world.silent(token);
        peer.write_all(b"second").expect("sent");
        world.readable(token);
        world.close(source);
    });
}

#[test]
fn a_level_is_reported_for_as_long_as_it_lasts() {
    on_every_driver(|world| {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let mut source = Source::watched(std::os::fd::AsRawFd::as_raw_fd(&near)).expect("a number");
        let token = world.attach(&mut source, level(READ));
        world.silent(token);
        far.write_all(b"hello").expect("sent");
        for _ in 0..3 {
            let seen = world.readable(token);
            assert!(!seen.writable && !seen.hangup);
        }
        (&near).read_exact(&mut [0; 5]).expect("received");
        world.silent(token);
        world.driver.change(token, &mut source, level(WRITE)).expect("changed");
        for _ in 0..3 {
            assert!(!world.writable(token).readable);
        }
        drop(far);
        for _ in 0..3 {
            assert!(world.writable(token).writable);
        }
        world.close(source);
    });
}

#[test]
fn a_level_that_has_fallen_before_the_wait_is_not_reported() {
    // Whoever is told would block in a read of what somebody else has taken.
    on_every_driver(|world| {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let mut source = Source::watched(std::os::fd::AsRawFd::as_raw_fd(&near)).expect("a number");
        let token = world.attach(&mut source, level(READ));
        for count in 0..3 {
            world.silent(token);
            far.write_all(b"hello").expect("sent");
            (&near).read_exact(&mut [0; 5]).expect("received");
            if count == 1 {
                assert!(world.sleep(Some(0.001)).is_empty());
            }
        }
        world.silent(token);
        world.close(source);
    });
}

#[test]
fn edges_are_not_lost_where_nobody_looks_for_long() {
    // More changes than a ring holds completions.
    on_every_driver(|world| {
        let (mut source, mut peer) = tcp();
        let token = world.attach(&mut source, READ);
        let (mut other, mut friend) = unix();
        let quiet = world.attach(&mut other, READ);
        world.silent(token);
        for _ in 0..6000 {
            peer.write_all(b"x").expect("sent");
            while world.read(&mut source).is_none() {}
        }
        world.glance();
        world.silent(token);
        for _ in 0..3 {
            peer.write_all(b"x").expect("sent");
            world.readable(token);
            assert_eq!(world.read(&mut source).as_deref(), Some(&b"x"[..]));
            friend.write_all(b"y").expect("sent");
            world.readable(quiet);
            assert_eq!(world.read(&mut other).as_deref(), Some(&b"y"[..]));
        }
        world.close(source);
        world.close(other);
    });
}

#[test]
fn nobody_is_told_of_room_that_was_never_missed() {
    // A report that a new connection can be written to would cost each one a turn, and each message on a Unix socket.
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let token = world.attach(&mut source, BOTH);
        world.silent(token);
        for _ in 0..3 {
            assert!(world.write(&mut source, &[b"ping"]).is_ok());
            peer.read_exact(&mut [0; 4]).expect("received");
            world.silent(token);
        }
        world.close(source);
    });
}

#[test]
fn a_watched_source_is_reported_again_after_its_owner_tried_in_vain() {
    on_every_driver(|world| {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        near.set_nonblocking(true).expect("set");
        let mut source = Source::watched(std::os::fd::AsRawFd::as_raw_fd(&near)).expect("a number");
        let token = world.attach(&mut source, BOTH);
        for _ in 0..3 {
            world.driver.rearm(&mut source, Direction::Read);
            far.write_all(b"hello").expect("sent");
            world.readable(token);
            (&near).read_exact(&mut [0; 5]).expect("received");
            assert!((&near).read(&mut [0; 5]).is_err());
        }
        for _ in 0..3 {
            let mut rest = 0;
            while let Ok(count) = (&near).write(&[0; 50_000]) {
                rest += count;
            }
            world.driver.rearm(&mut source, Direction::Write);
            let mut buffer = [0; 65_536];
            while rest > 0 {
                rest -= far.read(&mut buffer).expect("received");
            }
            world.writable(token);
        }
        world.close(source);
    });
}

#[test]
fn room_that_is_there_already_is_reported_when_asked_for() {
    // The connection may be made before anybody waits for it.
    on_every_driver(|world| {
        let (near, _far) = crate::world::tcp_pair();
        let mut source = Source::watched(std::os::fd::AsRawFd::as_raw_fd(&near)).expect("a number");
        let token = world.attach(&mut source, BOTH);
        world.driver.rearm(&mut source, Direction::Write);
        world.writable(token);
        world.close(source);
    });
}

#[test]
fn an_end_is_reported_once_and_does_not_keep_the_loop_awake() {
    on_every_driver(|world| {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let mut source = Source::pipe_writer(Descriptor::Owned(writer.into())).expect("a pipe");
        let interest = if source.watches_peer() { BOTH } else { WRITE };
        let token = world.attach(&mut source, interest);
        world.silent(token);
        drop(reader);
        world.readable(token);
        world.silent(token);
        world.close(source);
    });
}

#[test]
fn steady_traffic_leaves_the_registration_as_it_is() {
    let (mut driver, _waker) = tulipa_sys::SystemDriver::open("epoll").expect("a driver");
    let (mut source, mut peer) = tcp();
    let token = crate::world::token();
    driver.attach(token, &mut source, BOTH).expect("attached");
    let before = epoll_entries(token);
    assert_eq!(before.len(), 1);
    for _ in 0..10 {
        peer.write_all(b"ping").expect("sent");
        driver.poll().expect("polled");
        while driver.next_completion().is_some() {
            driver.read(&mut source, &mut [0; 100]).expect("read");
        }
        driver.write(&mut source, &[std::io::IoSlice::new(b"pong")]).expect("written");
        peer.read_exact(&mut [0; 4]).expect("received");
    }
    assert_eq!(epoll_entries(token), before);
    Driver::close(&mut driver, source);
}
