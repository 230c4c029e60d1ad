//! Connected stream sockets.

use std::io::{Read, Write};
use std::net::Shutdown;

use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use tulipa_core::{Attempt, Driver};
use tulipa_sys::{Kind, Source};

use crate::world::{BOTH, READ, World, errno, on_every_driver, tcp, unix};

/// Runs `body` on a TCP and on a Unix connection.
fn on_every_socket(body: impl Fn(&mut World, Source, &mut dyn Peer)) {
    on_every_driver(|world| {
        let (source, mut peer) = tcp();
        body(world, source, &mut peer);
        let (source, mut peer) = unix();
        body(world, source, &mut peer);
    });
}

trait Peer: Read + Write {
    fn finish(&self, how: Shutdown);
}

impl Peer for std::net::TcpStream {
    fn finish(&self, how: Shutdown) {
        self.shutdown(how).expect("shut down");
    }
}

impl Peer for std::os::unix::net::UnixStream {
    fn finish(&self, how: Shutdown) {
        self.shutdown(how).expect("shut down");
    }
}

#[test]
fn what_the_peer_sends_is_reported_and_read() {
    on_every_socket(|world, mut source, peer| {
        assert_eq!(source.kind(), Kind::Socket);
        let token = world.attach(&mut source, BOTH);
        assert_eq!(world.read(&mut source), None);
        peer.write_all(b"hello").expect("sent");
        assert!(!world.readable(token).hangup);
        assert_eq!(world.read(&mut source).as_deref(), Some(&b"hello"[..]));
        peer.write_all(b"again").expect("sent");
        assert_eq!(world.read_exactly(&mut source, token, 5), b"again");
        world.close(source);
    });
}

#[test]
fn one_slice_and_several_arrive_in_order() {
    on_every_socket(|world, mut source, peer| {
        assert_eq!(world.write(&mut source, &[b"one "]), Ok(Attempt::Done(4)));
        assert_eq!(world.write(&mut source, &[b"two ", b"", b"three"]), Ok(Attempt::Done(9)));
        let mut text = [0; 13];
        peer.read_exact(&mut text).expect("received");
        assert_eq!(&text, b"one two three");
        world.close(source);
    });
}

#[test]
fn nothing_blocks_on_a_socket_that_would() {
    // The sockets of these tests were never made non-blocking.
    on_every_socket(|world, mut source, _peer| {
        assert_eq!(world.read(&mut source), None);
        assert!(world.fill(&mut source) > 0);
        world.close(source);
    });
}

#[test]
fn a_blocked_writer_hears_of_room() {
    on_every_socket(|world, mut source, peer| {
        let token = world.attach(&mut source, BOTH);
        for _ in 0..3 {
            let mut rest = world.fill(&mut source);
            world.silent(token);
            let mut buffer = [0; 65_536];
            while rest > 0 {
                rest -= peer.read(&mut buffer).expect("received");
            }
            world.writable(token);
        }
        world.close(source);
    });
}

#[test]
fn a_writer_that_was_blocked_before_it_was_attached_hears_of_room() {
    on_every_socket(|world, mut source, peer| {
        let mut rest = world.fill(&mut source);
        let token = world.attach(&mut source, BOTH);
        let mut buffer = [0; 65_536];
        while rest > 0 {
            rest -= peer.read(&mut buffer).expect("received");
        }
        world.writable(token);
        world.close(source);
    });
}

#[test]
fn half_a_close_leaves_the_other_half() {
    on_every_socket(|world, mut source, peer| {
        let token = world.attach(&mut source, BOTH);
        peer.write_all(b"last words").expect("sent");
        peer.finish(Shutdown::Write);
        assert_eq!(world.read_exactly(&mut source, token, 10), b"last words");
        // Under epoll the hang-up came with the words, under the others the end is a report of its own.
        assert_eq!(world.read(&mut source).as_deref(), Some(&b""[..]));
        assert_eq!(world.write(&mut source, &[b"answer"]), Ok(Attempt::Done(6)));
        world.driver.finish_write(&mut source).expect("finished");
        let mut answer = Vec::new();
        peer.read_to_end(&mut answer).expect("received");
        assert_eq!(answer, b"answer");
        world.close(source);
    });
}

#[test]
fn the_end_is_reported_after_a_short_read() {
    on_every_socket(|world, mut source, peer| {
        let token = world.attach(&mut source, READ);
        peer.write_all(b"words").expect("sent");
        world.readable(token);
        assert_eq!(world.read(&mut source).as_deref(), Some(&b"words"[..]));
        peer.finish(Shutdown::Write);
        world.readable(token);
        assert_eq!(world.read(&mut source).as_deref(), Some(&b""[..]));
        world.close(source);
    });
}

#[test]
fn writing_to_nobody_is_an_error_and_no_signal() {
    on_every_driver(|world| {
        let (mut source, peer) = unix();
        let token = world.attach(&mut source, BOTH);
        drop(peer);
        assert!(world.readable(token).readable);
        assert_eq!(world.write(&mut source, &[b"lost"]), Err(errno(Errno::PIPE)));
        assert_eq!(world.write(&mut source, &[b"lost", b"too"]), Err(errno(Errno::PIPE)));
        world.close(source);
    });
}

#[test]
fn a_reset_is_reported_and_is_an_error() {
    on_every_driver(|world| {
        let (mut source, peer) = tcp();
        let token = world.attach(&mut source, BOTH);
        rustix::net::sockopt::set_socket_linger(&peer, Some(std::time::Duration::ZERO)).expect("set");
        drop(peer);
        world.readable(token);
        let mut buffer = [0; 10];
        assert_eq!(world.driver.read(&mut source, &mut buffer), Err(errno(Errno::CONNRESET)));
        world.close(source);
    });
}

#[test]
fn bytes_behind_passed_descriptors_are_not_left_behind() {
    on_every_driver(|world| {
        let (mut source, mut peer) = unix();
        let token = world.attach(&mut source, READ);
        peer.write_all(b"before ").expect("sent");
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut passed = SendAncillaryBuffer::new(&mut space);
        let fds = [std::os::fd::AsFd::as_fd(&world.waker)];
        assert!(passed.push(SendAncillaryMessage::ScmRights(&fds)));
        let with = [std::io::IoSlice::new(b"with ")];
        sendmsg(&peer, &with, &mut passed, SendFlags::empty()).expect("sent");
        peer.write_all(b"behind").expect("sent");
        assert_eq!(world.read_exactly(&mut source, token, 18), b"before with behind");
        world.close(source);
    });
}

#[test]
fn bytes_behind_urgent_data_are_not_left_behind() {
    on_every_driver(|world| {
        let (mut source, mut peer) = tcp();
        let token = world.attach(&mut source, READ);
        peer.write_all(b"before ").expect("sent");
        rustix::net::send(&peer, b"!", SendFlags::OOB).expect("sent");
        peer.write_all(b"behind").expect("sent");
        assert_eq!(world.read_exactly(&mut source, token, 13), b"before behind");
        world.close(source);
    });
}
