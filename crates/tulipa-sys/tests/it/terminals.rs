//! Pseudo-terminals, both ends.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::io::{read, write};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use tulipa_core::Attempt;
use tulipa_sys::{Descriptor, Kind, Source};

use crate::world::{READ, WRITE, on_every_driver, shared_flags};

const FLAGS: OpenptFlags = OpenptFlags::RDWR.union(OpenptFlags::NOCTTY).union(OpenptFlags::CLOEXEC);

/// Master and slave. A raw one passes bytes as they are; the other edits lines.
pub(crate) fn terminal(raw: bool) -> (OwnedFd, OwnedFd) {
    let master = openpt(FLAGS).expect("a master");
    grantpt(&master).expect("granted");
    unlockpt(&master).expect("unlocked");
    let slave = ioctl_tiocgptpeer(&master, FLAGS).expect("a slave");
    let mut settings = tcgetattr(&slave).expect("settings");
    if raw {
        settings.make_raw();
    } else {
        settings.local_modes.remove(rustix::termios::LocalModes::ECHO);
    }
    tcsetattr(&slave, OptionalActions::Now, &settings).expect("set");
    (master, slave)
}

fn lent(fd: &OwnedFd) -> Descriptor {
    Descriptor::Lent(fd.as_raw_fd())
}

#[test]
fn every_typed_line_is_read_though_each_comes_alone() {
    on_every_driver(|world| {
        let (master, slave) = terminal(false);
        let before = shared_flags(&slave);
        let mut source = Source::pipe_reader(lent(&slave)).expect("a terminal");
        assert_eq!((source.kind(), source.watches_peer()), (Kind::Terminal, false));
        let token = world.attach(&mut source, READ);
        assert_eq!(world.read(&mut source), None, "does not block");
        write(&master, b"one\ntwo\nthree\n").expect("typed");
        assert_eq!(world.read_exactly(&mut source, token, 14), b"one\ntwo\nthree\n");
        // Ctrl-D on an empty line.
        write(&master, b"bye\n\x04").expect("typed");
        assert_eq!(world.read_exactly(&mut source, token, 4), b"bye\n");
        world.readable(token);
        assert_eq!(world.read(&mut source).as_deref(), Some(&b""[..]));
        assert_eq!(shared_flags(&slave), before);
        world.close(source);
    });
}

#[test]
fn a_terminal_that_does_not_keep_up_blocks_nobody() {
    on_every_driver(|world| {
        let (master, slave) = terminal(true);
        let before = shared_flags(&slave);
        let mut source = Source::pipe_writer(lent(&slave)).expect("a terminal");
        let token = world.attach(&mut source, WRITE);
        for _ in 0..3 {
            let mut rest = world.fill(&mut source);
            assert!(rest > 0);
            while rest > 0 {
                rest -= read(&master, &mut [0; 65_536]).expect("read");
            }
            world.writable(token);
        }
        assert_eq!(shared_flags(&slave), before);
        world.close(source);
    });
}

#[test]
fn a_master_reads_what_the_child_writes_until_the_child_is_gone() {
    on_every_driver(|world| {
        let (master, slave) = terminal(true);
        let before = shared_flags(&master);
        let mut source = Source::pipe_reader(lent(&master)).expect("a master");
        assert_eq!(source.kind(), Kind::PtyMaster);
        let token = world.attach(&mut source, READ);
        assert_eq!(world.read(&mut source), None, "does not block");
        for _ in 0..3 {
            write(&slave, b"output").expect("written");
            assert_eq!(world.read_exactly(&mut source, token, 6), b"output");
            assert_eq!(world.read(&mut source), None, "does not block");
        }
        write(&slave, b"last").expect("written");
        drop(slave);
        assert_eq!(world.read_exactly(&mut source, token, 4), b"last");
        while world.read(&mut source).is_none_or(|bytes| !bytes.is_empty()) {
            world.readable(token);
        }
        assert_eq!(shared_flags(&master), before);
        world.close(source);
    });
}

#[test]
fn a_master_whose_child_does_not_read_blocks_nobody() {
    on_every_driver(|world| {
        let (master, slave) = terminal(true);
        let before = shared_flags(&master);
        let mut source = Source::pipe_writer(lent(&master)).expect("a master");
        let token = world.attach(&mut source, WRITE);
        for _ in 0..3 {
            let mut rest = world.fill(&mut source);
            assert!(rest > 0);
            while rest > 0 {
                rest -= read(&slave, &mut [0; 65_536]).expect("read");
            }
            world.writable(token);
        }
        assert!(matches!(world.write(&mut source, &[b"one", b"two"]), Ok(Attempt::Done(6))));
        assert_eq!(shared_flags(&master), before);
        world.close(source);
    });
}
