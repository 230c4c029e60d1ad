//! Files, processes, and what the kernel tells of itself.

use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use rustix::io::Errno;
use tulipa_core::Attempt;
use tulipa_sys::file::{Identity, pidfd_open, remove_stale_socket, sendfile};
use tulipa_sys::{Source, probe};

use crate::world::{READ, alone_on_every_driver, errno, level, tcp_pair};

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tulipa-{name}-{}", std::process::id()))
}

#[test]
fn a_file_is_sent_in_parts_and_its_position_stays() {
    let path = path("sendfile");
    std::fs::write(&path, b"one two three").expect("written");
    let mut file = std::fs::File::open(&path).expect("opened");
    std::fs::remove_file(path).expect("removed");
    let (near, mut far) = tcp_pair();
    let send = |offset, count| sendfile(near.as_raw_fd(), file.as_raw_fd(), offset, count);
    assert_eq!(send(Some(4), 3), Ok(Attempt::Done(3)));
    assert_eq!(send(Some(8), 100), Ok(Attempt::Done(5)));
    assert_eq!(send(Some(13), 100), Ok(Attempt::Done(0)));
    let mut text = [0; 8];
    far.read_exact(&mut text).expect("received");
    assert_eq!(&text, b"twothree");
    assert_eq!(send(None, 4), Ok(Attempt::Done(4)));
    let mut rest = String::new();
    file.read_to_string(&mut rest).expect("read");
    assert_eq!(rest, "two three");
    assert_eq!(sendfile(-1, file.as_raw_fd(), None, 1), Err(errno(Errno::BADF)));
    let (pipe, mut end) = std::io::pipe().expect("a pipe");
    end.write_all(b"x").expect("written");
    assert_eq!(sendfile(near.as_raw_fd(), pipe.as_raw_fd(), Some(0), 1), Err(errno(Errno::SPIPE)));
}

#[test]
fn only_sockets_are_stale() {
    let path = path("stale");
    assert_eq!(remove_stale_socket(&path), Ok(()), "nothing there is fine");
    std::fs::write(&path, b"precious").expect("written");
    assert_eq!(remove_stale_socket(&path), Ok(()));
    assert_eq!(std::fs::read(&path).expect("still there"), b"precious");
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(remove_stale_socket(&path.join("below")), Ok(()));
}

#[test]
fn a_file_is_known_by_its_identity() {
    let path = path("identity");
    let file = std::fs::File::create(&path).expect("made");
    let copy = file.try_clone().expect("a copy");
    let by_path = Identity::of_path(&path).expect("there");
    assert_eq!(Identity::of_descriptor(file.as_raw_fd()), Ok(by_path));
    assert_eq!(Identity::of_descriptor(copy.as_raw_fd()), Ok(by_path));
    std::fs::remove_file(&path).expect("removed");
    assert_eq!(Identity::of_path(&path), Err(errno(Errno::NOENT)));
    let (one, two) = tcp_pair();
    assert_ne!(Identity::of_descriptor(one.as_raw_fd()), Identity::of_descriptor(two.as_raw_fd()));
    assert_eq!(Identity::of_descriptor(-1), Err(errno(Errno::BADF)));
}

#[test]
fn a_process_that_ends_is_reported() {
    alone_on_every_driver(|world| {
        let mut child = std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().expect("a child");
        let id = i32::try_from(child.id()).expect("a process");
        let watched = pidfd_open(id).expect("a descriptor");
        let mut source = Source::watched(watched.as_raw_fd()).expect("a number");
        let token = world.attach(&mut source, level(READ));
        world.silent(token);
        drop(child.stdin.take());
        world.readable(token);
        assert!(child.wait().expect("waited").success());
        world.close(source);
        assert_eq!(pidfd_open(id).err(), Some(errno(Errno::SRCH)));
    });
    for id in [0, -1, i32::MIN] {
        assert_eq!(pidfd_open(id).err(), Some(errno(Errno::INVAL)));
    }
}

#[test]
fn the_kernel_is_looked_at() {
    let facts = probe::look();
    assert!(facts.epoll && facts.eventfd);
    assert!(facts.release.starts_with(|first: char| first.is_ascii_digit()), "{facts:?}");
    assert!(facts.descriptors.soft.is_none_or(|soft| soft > 10));
    assert!(facts.backlog_max.is_none_or(|most| most > 0));
}
