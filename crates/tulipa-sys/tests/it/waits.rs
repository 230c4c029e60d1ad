//! Sleeping, and being woken.

use std::io::{Read, Write};

use rustix::io::Errno;
use tulipa_core::{Driver, Nap, Wake};
use tulipa_sys::{Descriptor, NAMES, OpenError, Source, SystemDriver};

use crate::world::{BOTH, READ, World, level, on_every_driver, token, unix};

#[test]
fn a_wait_ends_no_earlier_than_its_timeout() {
    on_every_driver(|world| {
        for timeout in [0.0, 1e-9, 3e-5, 0.0004, 0.001, 0.0017, 0.01] {
            let start = world.driver.now();
            assert!(world.sleep(Some(timeout)).is_empty());
            let slept = world.driver.now().as_secs() - start.as_secs();
            assert!(slept >= timeout, "{slept} < {timeout}");
        }
    });
}

#[test]
fn a_short_wait_is_not_rounded_to_milliseconds() {
    on_every_driver(|world| {
        // The best of many, since the machine may be busy.
        let shortest = (0..50).map(|_| {
            let start = world.driver.now();
            world.sleep(Some(0.0001));
            world.driver.now().as_secs() - start.as_secs()
        });
        assert!(shortest.fold(1.0, f64::min) < 0.0008);
    });
}

#[test]
fn odd_timeouts_are_no_errors() {
    on_every_driver(|world| {
        for timeout in [-1.0, f64::NAN, f64::NEG_INFINITY] {
            assert!(world.sleep(Some(timeout)).is_empty());
        }
        for timeout in [Some(f64::INFINITY), Some(1e300), None] {
            world.waker.wake();
            assert!(world.sleep(timeout).is_empty());
        }
    });
}

#[test]
fn a_wake_up_ends_one_wait_even_if_it_came_before() {
    on_every_driver(|world| {
        for _ in 0..3 {
            world.waker.wake();
            world.waker.wake();
            assert!(world.sleep(None).is_empty());
            let start = world.driver.now();
            assert!(world.sleep(Some(0.002)).is_empty());
            assert!(world.driver.now().as_secs() - start.as_secs() >= 0.002, "woken twice by one");
        }
    });
}

#[test]
fn another_thread_ends_a_wait() {
    on_every_driver(|world| {
        for _ in 0..100 {
            let waker = world.waker.clone();
            let thread = std::thread::spawn(move || waker.wake());
            assert!(world.sleep(None).is_empty());
            thread.join().expect("joined");
        }
    });
}

#[test]
fn something_that_happens_ends_a_wait() {
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let token = world.attach(&mut source, READ);
        // Each way of waiting: without end, with whole milliseconds, with less than one, with both.
        for timeout in [None, Some(20.0), Some(0.0009), Some(20.0005)] {
            peer.write_all(b"hello").expect("sent");
            let seen = world.sleep(timeout);
            assert!(seen.iter().any(|seen| seen.token == token && seen.readable), "{timeout:?}");
            assert!(world.read(&mut source).is_some());
        }
        world.close(source);
    });
}

#[test]
fn what_happens_during_a_wait_is_not_lost_when_it_is_taken_later() {
    on_every_driver(|world| {
        let (mut one, mut peer_of_one) = unix();
        let (mut two, mut peer_of_two) = unix();
        let tokens = [world.attach(&mut one, READ), world.attach(&mut two, READ)];
        peer_of_one.write_all(b"hello").expect("sent");
        world.driver.poll().expect("polled");
        peer_of_two.write_all(b"hello").expect("sent");
        let mut nap = world.driver.nap();
        nap.sleep(Some(0.0)).expect("slept");
        world.driver.woken(nap);
        let seen: Vec<_> = std::iter::from_fn(|| world.driver.next_completion()).collect();
        for token in tokens {
            assert!(seen.iter().any(|seen| seen.token == token && seen.readable), "{seen:?}");
        }
        world.close(one);
        world.close(two);
    });
}

#[test]
fn the_driver_may_be_used_while_a_wait_is_under_way() {
    on_every_driver(|world| {
        let (mut gone, mut peer_of_gone) = unix();
        let token_of_gone = world.attach(&mut gone, READ);
        let mut nap = world.driver.nap();
        let thread = std::thread::spawn(move || {
            nap.sleep(None).expect("slept");
            nap
        });
        world.close(gone);
        // Fails if the driver has closed its end, as it should have.
        let _ = peer_of_gone.write_all(b"to nobody");
        let (mut source, mut peer) = unix();
        let token = world.attach(&mut source, READ);
        peer.write_all(b"hello").expect("sent");
        world.waker.wake();
        world.driver.woken(thread.join().expect("joined"));
        let mut seen: Vec<_> = std::iter::from_fn(|| world.driver.next_completion()).collect();
        seen.extend(world.glance());
        assert!(seen.iter().any(|seen| seen.token == token && seen.readable));
        assert!(seen.iter().all(|seen| seen.token != token_of_gone), "{seen:?}");
        world.close(source);
    });
}

#[test]
fn what_is_registered_during_a_wait_is_seen_by_it_or_ends_it() {
    on_every_driver(|world| {
        if ["poll", "select"].contains(&world.driver.name()) {
            // They wait for what there was when the wait began.
            return;
        }
        for round in 0..20 {
            let (mut source, mut peer) = unix();
            let mut nap = world.driver.nap();
            let thread = std::thread::spawn(move || {
                nap.sleep(None).expect("slept");
                nap
            });
            if round % 2 == 0 {
                // More often than not the wait is under way by then.
                std::thread::yield_now();
            }
            let token = world.attach(&mut source, READ);
            peer.write_all(b"hello").expect("sent");
            world.driver.woken(thread.join().expect("joined"));
            let mut seen: Vec<_> = std::iter::from_fn(|| world.driver.next_completion()).collect();
            seen.extend(world.glance());
            assert!(seen.iter().any(|seen| seen.token == token && seen.readable));
            world.close(source);
        }
    });
}

#[test]
fn a_driver_goes_from_thread_to_thread() {
    // Registered in one that then ends, waited on in another, closed in a third.
    on_every_driver(|world| {
        let name = world.driver.name();
        let Some(mut world) = World::open(name) else { return };
        let (mut source, mut peer) = unix();
        let (mut watched, mut other) = unix();
        let first = std::thread::spawn(move || {
            let tokens = [world.attach(&mut source, BOTH), world.attach(&mut watched, level(READ))];
            assert!(world.glance().is_empty());
            (world, source, watched, tokens)
        });
        let (mut world, mut source, mut watched, tokens) = first.join().expect("joined");
        for _ in 0..2 {
            peer.write_all(b"hello").expect("sent");
            world.readable(tokens[0]);
            assert!(world.read(&mut source).is_some());
            other.write_all(b"hello").expect("sent");
            world.readable(tokens[1]);
            assert!(world.read(&mut watched).is_some());
        }
        world.silent(tokens[0]);
        world.silent(tokens[1]);
        world.waker.wake();
        assert!(world.sleep(None).is_empty());
        let last = std::thread::spawn(move || {
            world.close(source);
            world.close(watched);
            world.driver.shut();
        });
        last.join().expect("joined");
        assert_eq!(peer.read(&mut [0; 5]).expect("the end"), 0);
        assert_eq!(other.read(&mut [0; 5]).expect("the end"), 0);
    });
}

#[test]
fn a_driver_that_is_refused_says_why_and_what_to_do() {
    for (errno, why) in [
        (Errno::PERM, "kernel.io_uring_disabled"),
        (Errno::NOSYS, "no io_uring"),
        (Errno::INVAL, "Linux 5.19"),
        (Errno::NOMEM, "ulimit -l"),
    ] {
        let code = crate::world::errno(errno);
        let text = OpenError::Refused { name: "io_uring", code }.to_string();
        assert!(text.contains("io_uring") && text.contains(why) && text.contains("epoll"), "{text}");
        let other = OpenError::Refused { name: "poll", code }.to_string();
        assert!(!other.contains(why), "{other}");
    }
}

#[test]
fn a_device_that_is_always_ready_keeps_the_loop_awake_only_while_it_is_read() {
    on_every_driver(|world| {
        let zero = std::fs::File::open("/dev/zero").expect("opened");
        let mut source = Source::pipe_reader(Descriptor::Owned(zero.into())).expect("a device");
        let token = world.attach(&mut source, READ);
        let seen = world.sleep(None);
        assert!(seen.iter().any(|seen| seen.token == token && seen.readable));
        world.silent(token);
        assert_eq!(world.read(&mut source), Some(vec![0; 4096]));
        world.close(source);
    });
}

#[test]
fn a_driver_that_does_not_exist_is_named_with_those_that_do() {
    let error = SystemDriver::open("kqueue").expect_err("no such driver");
    assert_eq!(error, OpenError::Unknown { name: "kqueue".to_owned() });
    for name in NAMES {
        assert!(error.to_string().contains(name));
        if let Some(world) = World::open(name) {
            assert_eq!(world.driver.name(), *name);
        }
    }
    // The token is only there to show that any number makes one.
    assert_ne!(token(), token());
}
