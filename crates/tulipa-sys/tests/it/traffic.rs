//! Much traffic between two ends in one driver, driven as the loop drives it: by completions alone. A missed edge is a
//! hang here.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, OwnedFd};

use tulipa_core::{Attempt, Driver};
use tulipa_sys::{Descriptor, Source};

use crate::world::{BOTH, READ, WRITE, World, on_every_driver, tcp_pair};

const TOTAL: usize = 3_000_000;

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % bound
    }
}

/// The byte at `position` of the stream.
fn byte(position: usize) -> u8 {
    u8::try_from(position % 251).expect("small")
}

fn pass_everything(world: &mut World, mut reader: Source, mut writer: Source, seed: u64) {
    let mut numbers = Numbers(seed);
    let text: Vec<u8> = (0..200_000 + 251).map(byte).collect();
    let read_token = world.attach(&mut reader, READ);
    let interest = if writer.watches_peer() { BOTH } else { WRITE };
    let write_token = world.attach(&mut writer, interest);
    let (mut written, mut read) = (0, 0);
    let (mut readable, mut hangup, mut blocked) = (false, false, false);
    let mut buffer = vec![0; 100_000];
    while read < TOTAL {
        if !blocked && written < TOTAL {
            let sizes = [1 + numbers.below(200_000), 1 + numbers.below(3000), 1 + numbers.below(3000)];
            let start = written % 251;
            let offered = sizes[numbers.below(3)].min(TOTAL - written);
            let (one, two) = text[start..start + offered].split_at(offered / 2);
            match world.driver.write(&mut writer, &[IoSlice::new(one), IoSlice::new(two)]).expect("written") {
                Attempt::Done(count) => {
                    written += count;
                    blocked = count < offered;
                }
                Attempt::Pending => blocked = true,
            }
        }
        if readable {
            let room_max = [100_000, 5000, 100][numbers.below(3)];
            let room = 1 + numbers.below(room_max);
            match world.driver.read(&mut reader, &mut buffer[..room]).expect("read") {
                Attempt::Done(count) => {
                    assert!(count > 0, "ended after {read} bytes");
                    let expected = (read..read + count).map(byte);
                    assert!(buffer[..count].iter().copied().eq(expected), "other bytes after {read}");
                    read += count;
                    readable = count == room || hangup;
                }
                Attempt::Pending => readable = false,
            }
        }
        let idle = !readable && (blocked || written == TOTAL) && read < TOTAL;
        let seen = if idle { world.sleep(Some(20.0)) } else { world.glance() };
        assert!(!idle || !seen.is_empty(), "hangs after {written} bytes written and {read} read");
        for seen in seen {
            if seen.token == read_token {
                readable |= seen.readable;
                hangup |= seen.hangup;
            } else if seen.token == write_token {
                blocked &= !seen.writable;
            }
        }
    }
    world.close(writer);
    world.close(reader);
}

#[test]
fn nothing_is_lost_or_stuck_on_sockets() {
    on_every_driver(|world| {
        for seed in 0..4 {
            let (near, far) = tcp_pair();
            let source = |socket| Source::socket(Descriptor::Owned(socket)).expect("a socket");
            pass_everything(world, source(near.into()), source(far.into()), seed);
            let (near, far) = std::os::unix::net::UnixStream::pair().expect("a pair");
            pass_everything(world, source(near.into()), source(far.into()), seed);
        }
    });
}

#[test]
fn nothing_is_lost_or_stuck_on_pipes() {
    on_every_driver(|world| {
        for seed in 0..4 {
            let (reader, writer) = std::io::pipe().expect("a pipe");
            pass_through(world, &reader.into(), &writer.into(), seed);
            let (reader, writer) = crate::pipes::fifo();
            pass_through(world, &reader, &writer, seed);
        }
    });
}

#[test]
fn nothing_is_lost_or_stuck_on_terminals() {
    on_every_driver(|world| {
        for seed in 0..2 {
            let (master, slave) = crate::terminals::terminal(true);
            pass_through(world, &master, &slave, seed);
            pass_through(world, &slave, &master, seed);
        }
    });
}

fn pass_through(world: &mut World, reader: &OwnedFd, writer: &OwnedFd, seed: u64) {
    let reading = Source::pipe_reader(Descriptor::Lent(reader.as_raw_fd())).expect("a pipe");
    let writing = Source::pipe_writer(Descriptor::Lent(writer.as_raw_fd())).expect("a pipe");
    pass_everything(world, reading, writing, seed);
}
