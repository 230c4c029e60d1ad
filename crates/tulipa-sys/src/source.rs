//! One open thing, and how to read and write it without blocking.
//!
//! O_NONBLOCK belongs to the *description*, which a shell, a parent and other programs may share. It is therefore never
//! set on anything that was passed in (P6). How each kind is kept from blocking instead, in order of preference, decided
//! once, when the source is made:
//!
//! | kind                        | reading and writing                        | else              | else        |
//! |-----------------------------|--------------------------------------------|-------------------|-------------|
//! | socket                      | `MSG_DONTWAIT`                             |                   |             |
//! | anonymous pipe              | `RWF_NOWAIT`                               | re-open (private) | *guarded*   |
//! | named FIFO                  | re-open; the kernel refuses `RWF_NOWAIT`   | *guarded*         |             |
//! | terminal, slave of a pty    | re-open with O_NOCTTY                      | re-open /dev/tty if it is that | *guarded* |
//! | master of a pty             | *guarded*; opening it again makes a new pty; EIO is the end (T36) | | |
//! | other character device      | `RWF_NOWAIT`; opening one again may mean something else (tun) | *guarded* | |
//! | eventfd, timerfd, signalfd, inotify and the like | `RWF_NOWAIT`          | *guarded*         |             |
//! | regular file, block device  | on threads, at the position that others may share; see `offload` |  |           |
//! | directory                   | refused with EISDIR                        |                   |             |
//!
//! *Guarded* means that poll(2) is asked before each call, and that a write is no longer than the room which its answer
//! promises. That can block only if another process takes the bytes or the room in between. A thread would not help: its
//! read could not be called off, and would steal what comes after the source was closed.
//!
//! A FIFO is polled by the number that was passed in, not by the private description: only the former remembers
//! that there has been a writer, and so reports that the last one is gone.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::OnceLock;

use rustix::fs::{self, FileType, Mode as Permissions, OFlags, fcntl_getfl, fstat, fstatfs, major, minor};
use rustix::io::{Errno, IoSliceMut, ReadWriteFlags, preadv2};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{isatty, tcgetsid};
use tulipa_core::{Code, Token};

use crate::address::UNIX;
use crate::descriptor::{Descriptor, above_stdio, borrow, duplicate};
use crate::errno::{code, uninterrupted};
use crate::offload::OffloadedFile;
use crate::poller::Registration;
use crate::socket;

/// What a [`Source`] is, as far as it matters to who uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A connected socket.
    Socket,
    /// A socket that takes connections.
    Listener,
    /// A socket for datagrams.
    Datagram,
    /// A descriptor that its owner reads and writes.
    Watched,
    /// An end of an anonymous pipe.
    Pipe,
    /// An end of a named pipe.
    Fifo,
    /// A terminal, or the slave of a pseudo-terminal.
    Terminal,
    /// The master of a pseudo-terminal.
    PtyMaster,
    /// Another character device.
    Device,
    /// An eventfd, timerfd, signalfd, inotify or another file without a name.
    Event,
    /// A regular file, or a block device.
    File,
}

/// How bytes are moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// `recv` and `send`.
    Stream,
    /// The same on a Unix socket, where a read also stops at descriptors that were passed along.
    Local,
    /// `preadv2` and `pwritev2` with RWF_NOWAIT.
    NoWait,
    /// `read` and `write` on a private description that is non-blocking.
    Private,
    /// `poll` first.
    Guarded,
    /// `read` and `write` on a thread.
    Offloaded,
    /// Nothing: connections, datagrams and watched descriptors have calls of their own.
    None,
}

/// Who reports on a source.
#[derive(Debug, Default)]
pub(crate) enum Reporting {
    #[default]
    Nobody,
    /// The poller.
    Poller(Registration),
    /// The driver itself: epoll has refused a device that is always ready.
    Always(Token),
    /// The same in every turn, as level-triggered reports are; with their place in the driver's books.
    Standing(usize),
    /// The threads that read and write it.
    Threads(Token),
}

/// One open thing. Made by one of the constructors, and then handed to a driver, which closes it. A constructor that fails
/// closes a descriptor that it was to own.
#[derive(Debug)]
pub struct Source {
    descriptor: Descriptor,
    /// A description of the same file of our own, to read and write by.
    private: Option<OwnedFd>,
    /// What threads read and write. Boxed, since a source is one of many thousands and hardly ever a file.
    pub(crate) offloaded: Option<Box<OffloadedFile>>,
    kind: Kind,
    pub(crate) mode: Mode,
    pub(crate) reporting: Reporting,
    /// The last write did not take everything.
    pub(crate) write_blocked: bool,
    /// What the last short or vain attempt proves can be relied on, and the next change will be an edge. Not so for what
    /// keeps boundaries within its bytes, such as lines of a terminal.
    pub(crate) seamless: bool,
    /// Nobody else can have a number for the description, unless the program makes one itself.
    pub(crate) exclusive: bool,
}

impl Source {
    /// A connected stream socket.
    ///
    /// # Errors
    /// EBADF, or ENOTSOCK.
    pub fn socket(descriptor: Descriptor) -> Result<Self, Code> {
        let local = socket::is_unix(socket::family(descriptor.number())?);
        let seamless = socket::kind(descriptor.number())? == socket::STREAM;
        let mode = if local { Mode::Local } else { Mode::Stream };
        Ok(Self { seamless, exclusive: descriptor.is_owned(), ..Self::new(descriptor, Kind::Socket, mode) })
    }

    /// A listening socket.
    ///
    /// # Errors
    /// EBADF, or ENOTSOCK.
    pub fn listener(descriptor: Descriptor) -> Result<Self, Code> {
        let local = socket::is_unix(socket::family(descriptor.number())?);
        // What its connections will be.
        let mode = if local { Mode::Local } else { Mode::Stream };
        Ok(Self::new(descriptor, Kind::Listener, mode))
    }

    /// A datagram socket.
    ///
    /// # Errors
    /// EBADF, or ENOTSOCK.
    pub fn datagram(descriptor: Descriptor) -> Result<Self, Code> {
        socket::family(descriptor.number())?;
        Ok(Self { seamless: true, ..Self::new(descriptor, Kind::Datagram, Mode::None) })
    }

    /// A descriptor that its owner reads and writes; the driver only reports on it.
    ///
    /// # Errors
    /// EBADF for a negative number.
    pub fn watched(number: RawFd) -> Result<Self, Code> {
        borrow(number)?;
        Ok(Self { seamless: true, ..Self::new(Descriptor::Lent(number), Kind::Watched, Mode::None) })
    }

    /// A pipe, terminal, socket, device or file to read from.
    ///
    /// # Errors
    /// EBADF if it is not open, or not for reading; EISDIR for a directory.
    pub fn pipe_reader(descriptor: Descriptor) -> Result<Self, Code> {
        Self::pipe(descriptor, OFlags::RDONLY)
    }

    /// A pipe, terminal, socket, device or file to write to.
    ///
    /// # Errors
    /// EBADF if it is not open, or not for writing; EISDIR for a directory.
    pub fn pipe_writer(descriptor: Descriptor) -> Result<Self, Code> {
        Self::pipe(descriptor, OFlags::WRONLY)
    }

    fn pipe(descriptor: Descriptor, access: OFlags) -> Result<Self, Code> {
        let kind = kind_of(descriptor.number())?;
        check_access(descriptor.number(), access)?;
        let mut offloaded = None;
        let (mode, private) = match kind {
            Kind::Socket => return Self::socket(descriptor).map(|source| Self { exclusive: false, ..source }),
            Kind::Pipe if pipes_take_nowait() => (Mode::NoWait, None),
            Kind::Terminal => {
                match reopen(descriptor.number(), access).or_else(|_| reopen_own_terminal(&descriptor, access)) {
                    Ok(private) => (Mode::Private, Some(private)),
                    Err(_) => (Mode::Guarded, None),
                }
            }
            Kind::Pipe | Kind::Fifo => match reopen(descriptor.number(), access) {
                Ok(private) => (Mode::Private, Some(private)),
                Err(_) => (Mode::Guarded, None),
            },
            Kind::PtyMaster => (Mode::Guarded, None),
            Kind::File => {
                let own = duplicate(borrow(descriptor.number())?).map_err(code)?;
                offloaded = Some(Box::new(OffloadedFile::new(own)));
                (Mode::Offloaded, None)
            }
            _ => (Mode::NoWait, None),
        };
        let seamless = matches!(kind, Kind::Pipe | Kind::Fifo);
        Ok(Self { private, offloaded, seamless, ..Self::new(descriptor, kind, mode) })
    }

    /// A connection that a listener has accepted.
    pub(crate) fn accepted(socket: OwnedFd, listener: &Self) -> Self {
        let source = Self::new(Descriptor::Owned(socket), Kind::Socket, listener.mode);
        Self { seamless: true, exclusive: true, ..source }
    }

    /// A stream socket that the loop has made and connected, of the family given.
    #[must_use]
    pub fn connected(socket: OwnedFd, family: i32) -> Self {
        let mode = if family == UNIX { Mode::Local } else { Mode::Stream };
        let source = Self::new(Descriptor::Owned(socket), Kind::Socket, mode);
        Self { seamless: true, exclusive: true, ..source }
    }

    const fn new(descriptor: Descriptor, kind: Kind, mode: Mode) -> Self {
        Self {
            descriptor,
            private: None,
            offloaded: None,
            kind,
            mode,
            reporting: Reporting::Nobody,
            write_blocked: false,
            seamless: false,
            exclusive: false,
        }
    }

    /// The number that the source was made of.
    #[must_use]
    pub fn number(&self) -> RawFd {
        self.descriptor.number()
    }

    /// Gives the number to somebody who closes it from now on, after the driver has closed the source.
    pub fn lend(&mut self) {
        self.descriptor.lend();
        self.exclusive = false;
    }

    /// Gives the number away, for good. The source must not be attached to a driver.
    #[must_use]
    pub fn into_number(mut self) -> RawFd {
        self.descriptor.lend();
        self.number()
    }

    /// What it is.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether this writing end becomes readable when, and only when, its reader has gone: true of sockets and of pipes
    /// that are open for writing alone, and of nothing that somebody types on.
    #[must_use]
    pub fn watches_peer(&self) -> bool {
        match self.kind {
            Kind::Socket => true,
            Kind::Pipe | Kind::Fifo => {
                fcntl_getfl(self.given()).is_ok_and(|flags| flags & OFlags::ACCMODE == OFlags::WRONLY)
            }
            _ => false,
        }
    }

    /// Whether nobody closes it before the driver has, and its kind says that it can be waited for.
    pub(crate) const fn is_held(&self) -> bool {
        !matches!(self.kind, Kind::Watched | Kind::Device | Kind::Event)
    }

    /// What to read and write.
    #[inline]
    pub(crate) fn io(&self) -> BorrowedFd<'_> {
        self.private.as_ref().map_or_else(|| self.given(), AsFd::as_fd)
    }

    /// What to poll.
    #[inline]
    pub(crate) fn polled(&self) -> BorrowedFd<'_> {
        // A description of our own leaves the poller when it is closed, whatever others share the given one.
        if self.kind == Kind::Fifo { self.given() } else { self.io() }
    }

    /// Whether closing the source ends all reports on it.
    pub(crate) const fn closes_for_good(&self) -> bool {
        self.exclusive && self.descriptor.is_owned()
    }

    #[inline]
    #[expect(clippy::expect_used, reason = "every constructor has borrowed the number once")]
    fn given(&self) -> BorrowedFd<'_> {
        match &self.descriptor {
            Descriptor::Owned(fd) => fd.as_fd(),
            Descriptor::Lent(number) => borrow(*number).expect("a number that is not negative"),
        }
    }
}

/// The same file under a description of our own, which does not block.
fn reopen(number: RawFd, access: OFlags) -> Result<OwnedFd, Errno> {
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let path = format!("/proc/self/fd/{number}");
    uninterrupted(|| fs::open(&*path, flags, Permissions::empty())).and_then(above_stdio)
}

/// The same for a terminal whose file belongs to somebody else, as it does after `su`: every process may open its
/// controlling terminal, and only that one has a session to tell.
fn reopen_own_terminal(descriptor: &Descriptor, access: OFlags) -> Result<OwnedFd, Errno> {
    let fd = borrow(descriptor.number()).map_err(|_| Errno::BADF)?;
    tcgetsid(fd)?;
    let flags = access | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    uninterrupted(|| fs::open("/dev/tty", flags, Permissions::empty())).and_then(above_stdio)
}

fn kind_of(number: RawFd) -> Result<Kind, Code> {
    let fd = borrow(number)?;
    let stat = fstat(fd).map_err(code)?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Socket => Ok(Kind::Socket),
        FileType::Fifo => Ok(if is_anonymous(fd) { Kind::Pipe } else { Kind::Fifo }),
        FileType::CharacterDevice => Ok(match (major(stat.st_rdev), minor(stat.st_rdev)) {
            // /dev/ptmx, and the masters of BSD's pseudo-terminals.
            (5, 2) | (2, _) => Kind::PtyMaster,
            _ if isatty(fd) => Kind::Terminal,
            _ => Kind::Device,
        }),
        FileType::RegularFile | FileType::BlockDevice => Ok(Kind::File),
        FileType::Directory => Err(code(Errno::ISDIR)),
        // Symbolic links can be opened too, but not read.
        FileType::Symlink => Err(code(Errno::BADF)),
        FileType::Unknown => Ok(Kind::Event),
    }
}

/// Whether the description allows what it is wanted for.
fn check_access(number: RawFd, wanted: OFlags) -> Result<(), Code> {
    let flags = fcntl_getfl(borrow(number)?).map_err(code)?;
    let access = flags & OFlags::ACCMODE;
    let allowed = !flags.contains(OFlags::PATH) && (access == OFlags::RDWR || access == wanted);
    if allowed { Ok(()) } else { Err(code(Errno::BADF)) }
}

/// Whether a pipe lives in the kernel's own file system, under no name.
fn is_anonymous(fd: BorrowedFd<'_>) -> bool {
    fstatfs(fd).is_ok_and(|system| system.f_type == 0x5049_5045)
}

/// Whether this kernel knows RWF_NOWAIT on anonymous pipes (Linux 6.4 and later do), tried once on a pipe of our own.
pub(crate) fn pipes_take_nowait() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| {
        let Ok((reader, _writer)) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK) else { return false };
        let mut byte = [0];
        let result = preadv2(&reader, &mut [IoSliceMut::new(&mut byte)], u64::MAX, ReadWriteFlags::NOWAIT);
        result == Err(Errno::AGAIN)
    })
}

impl AsFd for Source {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.given()
    }
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, PipeReader, PipeWriter, Write};

    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::Errno;

    use super::{Kind, Mode, Source, reopen};
    use crate::descriptor::Descriptor;
    use crate::transfer::{self, Taken};

    /// The two ends of a pipe, in a mode that this kernel would not choose for it.
    fn pipe(mode: Mode) -> (Source, Source) {
        let (reader, writer) = std::io::pipe().expect("a pipe");
        let (reader, writer) = (Descriptor::Owned(reader.into()), Descriptor::Owned(writer.into()));
        let private = |descriptor: &Descriptor, access| {
            (mode == Mode::Private).then(|| reopen(descriptor.number(), access).expect("opened again"))
        };
        let (reading, writing) = (private(&reader, OFlags::RDONLY), private(&writer, OFlags::WRONLY));
        (
            Source { private: reading, seamless: true, ..Source::new(reader, Kind::Pipe, mode) },
            Source { private: writing, seamless: true, ..Source::new(writer, Kind::Pipe, mode) },
        )
    }

    #[test]
    fn every_mode_moves_bytes_and_none_blocks_or_touches_the_flags() {
        for mode in [Mode::NoWait, Mode::Private, Mode::Guarded] {
            let (mut reader, mut writer) = pipe(mode);
            let mut buffer = [0; 100];
            assert_eq!(transfer::read(&mut reader, &mut buffer), Ok(Taken::Nothing), "{mode:?}");
            let text = [IoSlice::new(b"hello "), IoSlice::new(b"world")];
            assert_eq!(transfer::write(&mut writer, &text), Ok(11), "{mode:?}");
            assert_eq!(transfer::read(&mut reader, &mut buffer[..6]), Ok(Taken::All(6)), "{mode:?}");
            assert_eq!(transfer::read(&mut reader, &mut buffer), Ok(Taken::Rest(5)), "{mode:?}");
            let mut total = 0;
            loop {
                match transfer::write(&mut writer, &[IoSlice::new(&[b'x'; 10_000])]) {
                    Ok(count) => total += count,
                    Err(errno) => break assert_eq!(errno, Errno::AGAIN, "{mode:?}"),
                }
            }
            assert!(total >= 50_000, "{total} in {mode:?}");
            for end in [&reader, &writer] {
                assert!(!fcntl_getfl(end.given()).expect("flags").contains(OFlags::NONBLOCK), "{mode:?}");
            }
            drop(reader);
            assert_eq!(transfer::write(&mut writer, &text), Err(Errno::PIPE), "{mode:?}");
        }
    }

    #[test]
    fn every_mode_sees_the_end() {
        for mode in [Mode::NoWait, Mode::Private, Mode::Guarded] {
            let (mut reader, writer) = pipe(mode);
            drop(writer);
            assert_eq!(transfer::read(&mut reader, &mut [0; 100]), Ok(Taken::All(0)), "{mode:?}");
        }
    }

    #[test]
    fn a_terminal_that_cannot_be_opened_again_blocks_nobody() {
        use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let master = openpt(flags).expect("a master");
        unlockpt(&master).expect("unlocked");
        let slave = Descriptor::Owned(ioctl_tiocgptpeer(&master, flags).expect("a slave"));
        let mut source = Source::new(slave, Kind::Terminal, Mode::Guarded);
        let mut buffer = [0; 100];
        assert_eq!(transfer::read(&mut source, &mut buffer), Ok(Taken::Nothing));
        rustix::io::write(&master, b"typed\nmore\n").expect("typed");
        assert_eq!(transfer::read(&mut source, &mut buffer), Ok(Taken::Part(6)));
        assert_eq!(transfer::read(&mut source, &mut buffer), Ok(Taken::Part(5)));
        assert_eq!(transfer::read(&mut source, &mut buffer), Ok(Taken::Nothing));
        // Each line feed takes the room of two bytes.
        for line in [&[b'\n'; 997][..], &[b'x'; 1013], b"some words\n"] {
            let mut rest = 0;
            while let Ok(count) = transfer::write(&mut source, &[IoSlice::new(line)]) {
                rest += count;
            }
            while rest > 0 {
                let count = rustix::io::read(&master, &mut [0; 65_536]).expect("read");
                rest = rest.saturating_sub(count);
            }
        }
    }

    #[test]
    fn a_mode_that_the_kernel_refuses_is_given_up() {
        // FIFOs, ttys and many devices do not know RWF_NOWAIT.
        let full = std::fs::File::options().write(true).open("/dev/full").expect("opened");
        let mut source = Source::pipe_writer(Descriptor::Owned(full.into())).expect("a device");
        assert_eq!(source.mode, Mode::NoWait);
        assert_eq!(transfer::write(&mut source, &[IoSlice::new(b"x")]), Err(Errno::NOSPC));
        assert_eq!(source.mode, Mode::Guarded);
    }

    #[test]
    fn a_pipe_is_told_from_other_kinds() {
        let (reader, mut writer): (PipeReader, PipeWriter) = std::io::pipe().expect("a pipe");
        writer.write_all(b"x").expect("written");
        let source = Source::pipe_reader(Descriptor::Owned(reader.into())).expect("a pipe");
        assert_eq!(source.kind(), Kind::Pipe);
        assert!(!source.watches_peer(), "a reading end becomes readable for other reasons");
    }
}
