//! Numbers, tokens and registrations: what belongs to whom (R1, R6, R10).

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::{Errno, FdFlags, dup, fcntl_getfd};
use tulipa_core::{Driver, Token};
use tulipa_sys::{Descriptor, Source};

use crate::world::{BOTH, READ, WRITE, epoll_entries, errno, level, on_every_driver, tcp, token, unix};

#[test]
fn a_closed_source_is_silent_even_if_its_description_lives() {
    on_every_driver(|world| {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let copy = dup(&near).expect("a copy");
        let mut source = Source::socket(Descriptor::Lent(near.as_raw_fd())).expect("a socket");
        let token = world.attach(&mut source, BOTH);
        world.close(source);
        far.write_all(b"hello").expect("sent");
        world.silent(token);
        // Lent means that closing is left to the lender.
        (&near).read_exact(&mut [0; 5]).expect("received");
        drop(copy);
    });
}

#[test]
fn an_owned_source_is_closed_with_its_description() {
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let token = world.attach(&mut source, BOTH);
        world.close(source);
        assert_eq!(peer.read(&mut [0; 5]).expect("the end"), 0);
        world.silent(token);
        assert_eq!(epoll_entries(token), []);
    });
}

#[test]
fn a_peer_sees_the_end_before_the_close_returns() {
    // R4: what the kernel still does for a source may hold its file, and so the connection, open.
    on_every_driver(|world| {
        for interest in [READ, BOTH, level(READ)] {
            for polls in 0..3 {
                let (mut source, mut peer) = tcp();
                let token = world.attach(&mut source, interest);
                for _ in 0..polls {
                    peer.write_all(b"hello").expect("sent");
                    world.readable(token);
                    assert!(world.read(&mut source).is_some());
                    world.silent(token);
                }
                peer.set_nonblocking(true).expect("set");
                world.close(source);
                assert_eq!(peer.read(&mut [0; 5]).expect("the end"), 0, "{interest:?} after {polls}");
            }
            // The same for one that is closed by its owner.
            let (near, mut far) = UnixStream::pair().expect("a pair");
            let mut source = Source::watched(near.as_raw_fd()).expect("a number");
            world.attach(&mut source, interest);
            assert!(world.glance().is_empty());
            world.driver.detach(&mut source);
            drop(near);
            far.set_nonblocking(true).expect("set");
            assert_eq!(far.read(&mut [0; 5]).expect("the end"), 0, "{interest:?}");
            world.close(source);
        }
    });
}

#[test]
fn a_detached_source_is_silent_and_open() {
    on_every_driver(|world| {
        for interest in [BOTH, level(READ)] {
            let (mut source, mut peer) = unix();
            let token = world.attach(&mut source, interest);
            world.driver.detach(&mut source);
            peer.write_all(b"hello").expect("sent");
            world.silent(token);
            assert_eq!(epoll_entries(token), []);
            let token = world.attach(&mut source, interest);
            world.readable(token);
            assert_eq!(world.read(&mut source).as_deref(), Some(&b"hello"[..]));
            world.close(source);
        }
    });
}

#[test]
fn a_number_can_be_registered_twice() {
    on_every_driver(|world| {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let mut one = Source::socket(Descriptor::Lent(near.as_raw_fd())).expect("a socket");
        let mut two = Source::watched(near.as_raw_fd()).expect("a number");
        let first = world.attach(&mut one, READ);
        let second = world.attach(&mut two, level(READ));
        far.write_all(b"hello").expect("sent");
        let seen = world.sleep(Some(20.0));
        for token in [first, second] {
            assert!(seen.iter().any(|seen| seen.token == token && seen.readable), "{seen:?}");
        }
        // The second can be changed and ended without harm to the first.
        world.driver.change(second, &mut two, level(BOTH)).expect("changed");
        assert!(world.writable(second).readable);
        world.close(two);
        assert!(world.read(&mut one).is_some());
        far.write_all(b"hello").expect("sent");
        world.readable(first);
        world.silent(second);
        world.close(one);
        assert_eq!(epoll_entries(second), []);
    });
}

#[test]
fn a_number_can_be_registered_twice_and_ended_in_the_other_order() {
    on_every_driver(|world| {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let mut one = Source::watched(near.as_raw_fd()).expect("a number");
        let mut two = Source::watched(near.as_raw_fd()).expect("a number");
        let first = world.attach(&mut one, level(READ));
        let second = world.attach(&mut two, level(READ));
        world.close(one);
        far.write_all(b"hello").expect("sent");
        world.readable(second);
        world.silent(first);
        world.close(two);
        world.silent(second);
    });
}

#[test]
fn the_registration_of_a_number_that_was_used_again_is_left_alone() {
    on_every_driver(|world| {
        let (first, _peer) = UnixStream::pair().expect("a pair");
        let mut old = Source::watched(first.as_raw_fd()).expect("a number");
        let old_token = world.attach(&mut old, level(READ));
        // The program closes the number behind the driver's back, and another file gets it.
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let (near, spare) = (OwnedFd::from(near), OwnedFd::from(first));
        let mut slot = spare;
        rustix::io::dup2(&near, &mut slot).expect("moved");
        drop(near);
        let mut new = Source::watched(slot.as_raw_fd()).expect("a number");
        let new_token = world.attach(&mut new, level(READ));
        world.close(old);
        far.write_all(b"hello").expect("sent");
        world.readable(new_token);
        world.silent(old_token);
        world.close(new);
    });
}

#[test]
fn a_change_finds_a_number_that_was_used_again() {
    on_every_driver(|world| {
        let (first, _peer) = UnixStream::pair().expect("a pair");
        let mut source = Source::watched(first.as_raw_fd()).expect("a number");
        let token = world.attach(&mut source, level(READ));
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let mut slot = OwnedFd::from(first);
        rustix::io::dup2(&near, &mut slot).expect("moved");
        drop(near);
        far.write_all(b"hello").expect("sent");
        world.driver.change(token, &mut source, level(BOTH)).expect("changed");
        assert!(world.readable(token).writable);
        world.close(source);
    });
}

#[test]
fn a_change_may_bring_another_token() {
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let before = world.attach(&mut source, READ);
        let after = token();
        world.driver.change(after, &mut source, READ).expect("changed");
        peer.write_all(b"hello").expect("sent");
        world.readable(after);
        world.silent(before);
        world.close(source);
    });
}

#[test]
fn a_number_that_is_not_open_is_refused() {
    on_every_driver(|world| {
        let mut source = Source::watched(1_000_000).expect("a number");
        assert_eq!(world.driver.attach(token(), &mut source, level(READ)), Err(errno(Errno::BADF)));
        assert!(Source::watched(-1).is_err());
        for make in [Source::socket, Source::listener, Source::datagram, Source::pipe_reader, Source::pipe_writer] {
            assert_eq!(make(Descriptor::Lent(1_000_000)).err(), Some(errno(Errno::BADF)));
            assert_eq!(make(Descriptor::Lent(-1)).err(), Some(errno(Errno::BADF)));
        }
    });
}

#[test]
fn a_number_that_was_closed_wakes_who_waits_or_is_silent_but_does_not_keep_the_loop_awake() {
    on_every_driver(|world| {
        let (near, far) = UnixStream::pair().expect("a pair");
        // So high that no other test gets it once it is free.
        let near = rustix::io::fcntl_dupfd_cloexec(near, 5000).expect("a high number");
        let mut source = Source::watched(near.as_raw_fd()).expect("a number");
        let watched = world.attach(&mut source, level(READ));
        drop(near);
        let seen = world.glance();
        // Under the others the kernel drops the registration, or goes on with the file that the number stood for.
        if ["poll", "select"].contains(&world.driver.name()) {
            assert!(seen.iter().any(|seen| seen.token == watched && seen.hangup), "{seen:?}");
        }
        world.silent(watched);
        // Others are served as before.
        let (mut other, mut peer) = tcp();
        let token = world.attach(&mut other, READ);
        peer.write_all(b"hello").expect("sent");
        world.readable(token);
        world.close(other);
        world.close(source);
        drop(far);
    });
}

#[test]
fn numbers_beyond_fd_setsize_work() {
    on_every_driver(|world| {
        let (near, mut far) = UnixStream::pair().expect("a pair");
        let high = rustix::io::fcntl_dupfd_cloexec(&near, 2000).expect("a high number");
        assert!(high.as_raw_fd() >= 2000);
        let mut source = Source::socket(Descriptor::Owned(high)).expect("a socket");
        let token = world.attach(&mut source, BOTH);
        far.write_all(b"hello").expect("sent");
        assert_eq!(world.read_exactly(&mut source, token, 5), b"hello");
        world.close(source);
    });
}

#[test]
fn what_the_driver_opens_for_itself_is_not_inherited_and_no_standard_stream() {
    on_every_driver(|world| {
        assert!(world.waker.as_fd().as_raw_fd() >= 3);
        assert_eq!(fcntl_getfd(&world.waker), Ok(FdFlags::CLOEXEC));
    });
}

#[test]
fn a_late_report_carries_its_own_token() {
    // A report gathered before its source was closed still comes, under the token that names nobody by then.
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let old = world.attach(&mut source, READ);
        peer.write_all(b"hello").expect("sent");
        world.driver.poll().expect("polled");
        let number = source.number();
        world.close(source);
        let (mut next, _peer) = unix();
        assert!(next.number() >= number.min(3));
        let new = world.attach(&mut next, READ);
        let late: Vec<Token> = std::iter::from_fn(|| world.driver.next_completion()).map(|seen| seen.token).collect();
        assert!(late.iter().all(|&token| token == old && token != new), "{late:?}");
        world.close(next);
    });
}

#[test]
fn a_driver_that_was_closed_refuses_everything_and_fails_at_nothing() {
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let name = world.driver.name();
        let token = world.attach(&mut source, BOTH);
        let nap = world.driver.nap();
        world.driver.shut();
        // The wait that was under way keeps what it needs, and its findings concern nobody any more.
        world.driver.woken(nap);
        assert_eq!(epoll_entries(token), []);
        assert_ne!(world.driver.name(), name);
        assert_eq!(world.driver.poll(), Err(errno(Errno::BADF)));
        assert_eq!(world.driver.attach(crate::world::token(), &mut source, BOTH), Err(errno(Errno::BADF)));
        assert_eq!(world.driver.next_completion(), None);
        tulipa_core::Wake::wake(&world.waker);
        world.close(source);
        assert_eq!(peer.read(&mut [0; 5]).expect("the end"), 0);
    });
}

#[test]
fn a_watched_file_is_ready_in_every_turn_until_it_is_closed() {
    on_every_driver(|world| {
        let path = std::env::temp_dir().join(format!("tulipa-ready-{}", std::process::id()));
        let file = std::fs::File::create(&path).expect("made");
        std::fs::remove_file(path).expect("removed");
        // So high that no other test gets the number once it is free.
        let file = rustix::io::fcntl_dupfd_cloexec(file, 6000).expect("a high number");
        let mut source = Source::watched(file.as_raw_fd()).expect("a number");
        let token = world.attach(&mut source, level(READ));
        for _ in 0..3 {
            assert!(world.glance().iter().any(|report| report.token == token && report.readable && !report.writable));
            assert!(world.sleep(None).iter().any(|report| report.token == token));
        }
        world.driver.change(token, &mut source, level(WRITE)).expect("changed");
        assert!(world.glance().iter().any(|report| report.token == token && report.writable && !report.readable));
        world.driver.detach(&mut source);
        world.silent(token);
        let token = world.attach(&mut source, level(BOTH));
        drop(file);
        world.glance();
        world.silent(token);
        world.close(source);
    });
}
