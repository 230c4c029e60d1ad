//! Pipes, FIFOs and devices, and the flags that others share with us (P2, P6).

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use tulipa_core::Attempt;
use tulipa_sys::{Descriptor, Kind, Source};

use crate::world::{BOTH, READ, WRITE, errno, link, on_every_driver, shared_flags};

fn pipe() -> (PipeReader, PipeWriter) {
    std::io::pipe().expect("a pipe")
}

/// A FIFO that is open at both ends, without a name by now.
pub(crate) fn fifo() -> (OwnedFd, OwnedFd) {
    let path = fifo_path();
    let reader = open(&path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).expect("opened");
    let writer = open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).expect("opened");
    rustix::fs::fcntl_setfl(&reader, OFlags::empty()).expect("made to block");
    std::fs::remove_file(path).expect("removed");
    (reader, writer)
}

fn fifo_path() -> PathBuf {
    let path = std::env::temp_dir().join(format!("tulipa-fifo-{:x}", crate::world::token().to_bits()));
    let path = path.with_extension(std::process::id().to_string());
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
    path
}

fn lent(fd: &impl AsRawFd) -> Descriptor {
    Descriptor::Lent(fd.as_raw_fd())
}

#[test]
fn a_pipe_is_read_to_its_end_and_its_flags_are_left_alone() {
    on_every_driver(|world| {
        let pipes: [(OwnedFd, OwnedFd, Kind); 2] = {
            let (reader, writer) = pipe();
            let (fifo_reader, fifo_writer) = fifo();
            [(reader.into(), writer.into(), Kind::Pipe), (fifo_reader, fifo_writer, Kind::Fifo)]
        };
        for (reader, writer, kind) in pipes {
            let before = shared_flags(&reader);
            let mut source = Source::pipe_reader(lent(&reader)).expect("a pipe");
            assert_eq!(source.kind(), kind);
            let token = world.attach(&mut source, READ);
            assert_eq!(world.read(&mut source), None, "does not block");
            rustix::io::write(&writer, b"hello").expect("written");
            assert_eq!(world.read_exactly(&mut source, token, 5), b"hello");
            assert_eq!(world.read(&mut source), None, "does not block");
            assert_eq!(shared_flags(&reader), before);
            rustix::io::write(&writer, b"last").expect("written");
            drop(writer);
            assert_eq!(world.read_exactly(&mut source, token, 4), b"last");
            assert_eq!(world.read(&mut source).as_deref(), Some(&b""[..]));
            world.close(source);
            assert_eq!(shared_flags(&reader), before);
            assert!(!link(&reader).is_empty(), "a lent descriptor stays open");
        }
    });
}

#[test]
fn a_fifo_whose_writer_came_and_went_ends() {
    on_every_driver(|world| {
        let (reader, writer) = fifo();
        rustix::io::write(&writer, b"hello").expect("written");
        drop(writer);
        let mut source = Source::pipe_reader(lent(&reader)).expect("a FIFO");
        let token = world.attach(&mut source, READ);
        let mut hangup = world.readable(token).hangup;
        assert_eq!(world.read(&mut source).as_deref(), Some(&b"hello"[..]));
        if !hangup {
            hangup = world.readable(token).readable;
        }
        assert!(hangup);
        assert_eq!(world.read(&mut source).as_deref(), Some(&b""[..]));
        world.close(source);
    });
}

#[test]
fn a_full_pipe_does_not_block_its_writer_and_room_is_reported() {
    on_every_driver(|world| {
        let ends: [(OwnedFd, OwnedFd); 2] = {
            let (reader, writer) = pipe();
            [(reader.into(), writer.into()), fifo()]
        };
        for (reader, writer) in ends {
            let before = shared_flags(&writer);
            let mut source = Source::pipe_writer(lent(&writer)).expect("a pipe");
            assert!(source.watches_peer());
            let token = world.attach(&mut source, BOTH);
            world.silent(token);
            for _ in 0..3 {
                let mut rest = world.fill(&mut source);
                assert_eq!(shared_flags(&writer), before);
                world.silent(token);
                while rest > 0 {
                    rest -= rustix::io::read(&reader, &mut [0; 65_536]).expect("read");
                }
                world.writable(token);
            }
            drop(reader);
            assert!(world.readable(token).hangup || world.driver.name() == "select");
            assert_eq!(world.write(&mut source, &[b"lost"]), Err(errno(Errno::PIPE)));
            world.close(source);
            assert_eq!(shared_flags(&writer), before);
        }
    });
}

#[test]
fn what_is_written_at_once_stays_in_one_piece() {
    // The pipe is filled up to odd amounts of room, so that a break within a chunk would show.
    on_every_driver(|world| {
        for filled in [0, 1, 3000, 50_000, 61_441, 62_000, 65_000] {
            let (mut reader, writer) = pipe();
            (&writer).write_all(&vec![b'.'; filled]).expect("written");
            let mut source = Source::pipe_writer(lent(&writer)).expect("a pipe");
            let chunks: Vec<Vec<u8>> = (0..20_u8).map(|n| vec![n + b'a'; 500 + 190 * usize::from(n)]).collect();
            let slices: Vec<&[u8]> = chunks.iter().map(Vec::as_slice).collect();
            let mut written = match world.write(&mut source, &slices).expect("written") {
                Attempt::Done(count) => count,
                Attempt::Pending => 0,
            };
            world.close(source);
            drop(writer);
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).expect("read");
            assert_eq!(bytes.len(), filled + written);
            for chunk in &chunks {
                if written == 0 {
                    break;
                }
                assert!(written >= chunk.len(), "{} of {} bytes, with {filled} before", written, chunk.len());
                written -= chunk.len();
            }
        }
    });
}

#[test]
fn many_small_chunks_are_all_written_in_one_call() {
    on_every_driver(|world| {
        let (mut reader, writer) = pipe();
        let mut source = Source::pipe_writer(Descriptor::Owned(writer.into())).expect("a pipe");
        let chunks = [&[b'x'; 1000][..]; 30];
        assert_eq!(world.write(&mut source, &chunks), Ok(Attempt::Done(30_000)));
        world.close(source);
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).expect("the end, since an owned descriptor is closed");
        assert_eq!(bytes.len(), 30_000);
    });
}

#[test]
fn a_packet_pipe_loses_no_packet() {
    on_every_driver(|world| {
        let (reader, writer) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::DIRECT).expect("a pipe");
        let mut source = Source::pipe_reader(lent(&reader)).expect("a pipe");
        let token = world.attach(&mut source, READ);
        for packet in [b"one", b"two"] {
            rustix::io::write(&writer, packet).expect("written");
        }
        assert_eq!(world.read_exactly(&mut source, token, 6), b"onetwo");
        world.close(source);
    });
}

#[test]
fn a_socket_serves_as_a_pipe() {
    on_every_driver(|world| {
        let (near, mut far) = std::os::unix::net::UnixStream::pair().expect("a pair");
        let near = OwnedFd::from(near);
        let before = shared_flags(&near);
        let mut source = Source::pipe_writer(lent(&near)).expect("a socket");
        assert_eq!((source.kind(), source.watches_peer()), (Kind::Socket, true));
        let token = world.attach(&mut source, BOTH);
        assert_eq!(world.write(&mut source, &[b"hello"]), Ok(Attempt::Done(5)));
        far.read_exact(&mut [0; 5]).expect("received");
        world.fill(&mut source);
        assert_eq!(shared_flags(&near), before);
        drop(far);
        assert!(world.readable(token).readable);
        world.close(source);
    });
}

#[test]
fn dev_null_is_at_its_end_and_takes_everything() {
    on_every_driver(|world| {
        let null = std::fs::File::options().read(true).write(true).open("/dev/null").expect("opened");
        let mut source = Source::pipe_reader(lent(&null)).expect("a device");
        assert_eq!((source.kind(), source.watches_peer()), (Kind::Device, false));
        let token = world.attach(&mut source, READ);
        world.readable(token);
        assert_eq!(world.read(&mut source).as_deref(), Some(&b""[..]));
        world.close(source);
        let mut source = Source::pipe_writer(lent(&null)).expect("a device");
        let token = world.attach(&mut source, WRITE);
        assert_eq!(world.write(&mut source, &[b"all", b" of this"]), Ok(Attempt::Done(11)));
        world.silent(token);
        world.close(source);
    });
}

#[test]
fn dev_full_is_an_error_and_no_hang() {
    on_every_driver(|world| {
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");
        let mut source = Source::pipe_writer(lent(&full)).expect("a device");
        assert_eq!(world.write(&mut source, &[b"too much"]), Err(errno(Errno::NOSPC)));
        world.close(source);
    });
}

#[test]
fn a_folder_and_the_wrong_direction_are_refused() {
    let folder = std::fs::File::open("/tmp").expect("opened");
    assert_eq!(Source::pipe_reader(lent(&folder)).err(), Some(errno(Errno::ISDIR)));
    assert_eq!(Source::pipe_writer(lent(&folder)).err(), Some(errno(Errno::ISDIR)));
    let only_named = open("/dev/null", OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).expect("opened");
    let (reader, writer) = pipe();
    assert_eq!(Source::pipe_reader(lent(&writer)).err(), Some(errno(Errno::BADF)));
    assert_eq!(Source::pipe_writer(lent(&reader)).err(), Some(errno(Errno::BADF)));
    assert_eq!(Source::pipe_reader(lent(&only_named)).err(), Some(errno(Errno::BADF)));
}
