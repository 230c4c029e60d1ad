//! Regular files, read and written on threads at a position that others share.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::AsRawFd;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use rustix::io::Errno;
use tulipa_core::{Attempt, Driver};
use tulipa_sys::{Descriptor, Kind, Source};

use crate::world::{READ, WRITE, World, errno, on_every_driver};

/// A file without a name, sealed against whatever `seals` says.
fn sealed(content: &[u8], seals: SealFlags) -> File {
    let fd = memfd_create("tulipa-test", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING).expect("made");
    let mut file = File::from(fd);
    file.write_all(content).expect("written");
    file.rewind().expect("rewound");
    fcntl_add_seals(&file, seals).expect("sealed");
    file
}

fn file(content: &[u8]) -> File {
    sealed(content, SealFlags::empty())
}

fn reader(file: &File) -> Source {
    Source::pipe_reader(Descriptor::Lent(file.as_raw_fd())).expect("a file")
}

fn writer(file: &File) -> Source {
    Source::pipe_writer(Descriptor::Lent(file.as_raw_fd())).expect("a file")
}

fn content(file: &mut File) -> Vec<u8> {
    let mut all = Vec::new();
    file.rewind().expect("rewound");
    file.read_to_end(&mut all).expect("read");
    all
}

/// Asks once, waits for the report, and asks again.
fn read_next(world: &mut World, source: &mut Source, token: tulipa_core::Token) -> Vec<u8> {
    if let Some(left) = world.read(source) {
        return left;
    }
    world.readable(token);
    world.read(source).expect("what was reported")
}

#[test]
fn a_file_is_read_from_the_position_on_that_it_has_and_to_its_end() {
    on_every_driver(|world| {
        let mut file = file(b"skipped, and read");
        file.seek_relative(9).expect("moved");
        let mut source = reader(&file);
        assert_eq!(source.kind(), Kind::File);
        let token = world.attach(&mut source, READ);
        world.readable(token);
        assert_eq!(read_next(world, &mut source, token), b"and read");
        file.write_all(b", and more").expect("grown");
        file.seek_relative(-10).expect("moved back");
        world.readable(token);
        assert_eq!(read_next(world, &mut source, token), b", and more");
        world.readable(token);
        assert_eq!(read_next(world, &mut source, token), b"");
        world.close(source);
    });
}

#[test]
fn nothing_is_taken_from_a_description_that_nobody_asks_for() {
    on_every_driver(|world| {
        let mut file = file(&[b'x'; 10_000]);
        let mut source = reader(&file);
        let token = world.attach(&mut source, READ);
        world.readable(token);
        world.silent(token);
        assert_eq!(file.stream_position().expect("a position"), 0);
        assert_eq!(read_next(world, &mut source, token).len(), 4096);
        world.silent(token);
        assert_eq!(file.stream_position().expect("a position"), 4096, "the next read waits to be asked for");
        world.close(source);
    });
}

#[test]
fn what_was_read_for_nobody_goes_back() {
    on_every_driver(|world| {
        let file = file(b"for the next reader");
        for landed in [false, true] {
            let mut source = reader(&file);
            let token = world.attach(&mut source, READ);
            world.readable(token);
            assert_eq!(world.read(&mut source), None);
            if landed {
                world.readable(token);
            }
            world.close(source);
        }
        let mut source = reader(&file);
        let token = world.attach(&mut source, READ);
        world.readable(token);
        assert_eq!(read_next(world, &mut source, token), b"for the next reader");
        world.close(source);
    });
}

#[test]
fn a_smaller_buffer_than_was_promised_loses_nothing() {
    on_every_driver(|world| {
        let mut file = file(b"0123456789");
        let mut source = reader(&file);
        let token = world.attach(&mut source, READ);
        world.readable(token);
        assert_eq!(world.read(&mut source), None);
        world.readable(token);
        let mut few = [0; 4];
        assert_eq!(world.driver.read(&mut source, &mut few), Ok(Attempt::Done(4)));
        assert_eq!(&few, b"0123");
        world.close(source);
        assert_eq!(file.stream_position().expect("a position"), 4, "the rest went back");
    });
}

#[test]
fn writes_keep_their_order_and_are_reported_when_they_are_done() {
    on_every_driver(|world| {
        let mut file = file(b"");
        let mut source = writer(&file);
        let token = world.attach(&mut source, WRITE);
        assert_eq!(world.write(&mut source, &[b"one ", b"two "]), Ok(Attempt::Pending));
        world.writable(token);
        // The loop offers what was not yet done again, and more behind it.
        assert_eq!(world.write(&mut source, &[b"one ", b"two ", b"three"]), Ok(Attempt::Done(8)));
        world.writable(token);
        assert_eq!(world.write(&mut source, &[b"three"]), Ok(Attempt::Done(5)));
        world.silent(token);
        world.close(source);
        assert_eq!(content(&mut file), b"one two three");
    });
}

#[test]
fn a_write_that_was_begun_is_finished_although_its_source_and_number_are_gone() {
    on_every_driver(|world| {
        let mut kept = file(b"");
        let given = kept.try_clone().expect("another number");
        let mut source = writer(&given);
        world.attach(&mut source, WRITE);
        let long = vec![b'x'; 3_000_000];
        assert_eq!(world.write(&mut source, &[&long]), Ok(Attempt::Pending));
        world.close(source);
        drop(given);
        world.driver.shut();
        assert_eq!(content(&mut kept).len(), 1 << 20, "as much as goes at once");
        let (driver, waker) = tulipa_sys::SystemDriver::open("epoll").expect("a driver");
        *world = World { driver, waker };
    });
}

#[test]
fn the_last_call_writes_everything() {
    on_every_driver(|world| {
        let mut file = file(b"");
        let mut source = writer(&file);
        world.attach(&mut source, WRITE);
        let long = vec![b'x'; 3_000_000];
        let mut left = &long[..];
        assert_eq!(world.write(&mut source, &[left]), Ok(Attempt::Pending));
        world.driver.last_call();
        while !left.is_empty() {
            let Ok(Attempt::Done(count)) = world.write(&mut source, &[left]) else { panic!("not written") };
            left = &left[count..];
        }
        world.close(source);
        assert_eq!(content(&mut file).len(), 3_000_000);
    });
}

#[test]
fn a_refused_write_is_an_error_after_what_was_written() {
    on_every_driver(|world| {
        let sealed = sealed(&[0; 4096], SealFlags::GROW);
        let mut source = writer(&sealed);
        let token = world.attach(&mut source, WRITE);
        let long = [b'x'; 10_000];
        assert_eq!(world.write(&mut source, &[&long]), Ok(Attempt::Pending));
        world.writable(token);
        assert_eq!(world.write(&mut source, &[&long]), Ok(Attempt::Done(4096)));
        world.writable(token);
        assert_eq!(world.write(&mut source, &[&long[4096..]]), Err(errno(Errno::PERM)));
        world.close(source);
    });
}

#[test]
fn a_write_before_the_source_is_attached_is_taken_up_then() {
    on_every_driver(|world| {
        let mut file = file(b"");
        let mut source = writer(&file);
        assert_eq!(world.write(&mut source, &[b"early"]), Ok(Attempt::Pending));
        let token = world.attach(&mut source, WRITE);
        world.writable(token);
        assert_eq!(world.write(&mut source, &[b"early"]), Ok(Attempt::Pending));
        world.writable(token);
        assert_eq!(world.write(&mut source, &[b"early"]), Ok(Attempt::Done(5)));
        world.close(source);
        assert_eq!(content(&mut file), b"early");
    });
}
