//! A driver to test, and what tests ask of it.

use std::io::IoSlice;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use rustix::fs::{OFlags, fcntl_getfl};
use tulipa_core::{Attempt, Code, Completion, Driver, Interest, Nap, Token, Trigger};
use tulipa_sys::{Descriptor, NAMES, OpenError, Source, SystemDriver, Waker};

pub(crate) const READ: Interest = Interest { read: true, write: false, trigger: Trigger::Edge };
pub(crate) const WRITE: Interest = Interest { read: false, write: true, trigger: Trigger::Edge };
pub(crate) const BOTH: Interest = Interest { read: true, write: true, trigger: Trigger::Edge };

pub(crate) const fn level(interest: Interest) -> Interest {
    Interest { trigger: Trigger::Level, ..interest }
}

/// Longer than anything here takes, and short enough to fail in one's own lifetime.
const PATIENCE: f64 = 20.0;

pub(crate) struct World {
    pub(crate) driver: SystemDriver,
    pub(crate) waker: Waker,
}

/// A process that begins holds copies of all descriptors for a moment, so that what another test closes stays open.
static PROCESSES: RwLock<()> = RwLock::new(());

/// Runs `body` on each driver by turns, while no process begins.
pub(crate) fn on_every_driver(body: impl Fn(&mut World)) {
    let _quiet = PROCESSES.read().unwrap_or_else(PoisonError::into_inner);
    by_turns(body);
}

/// The same for a body that makes processes.
pub(crate) fn alone_on_every_driver(body: impl Fn(&mut World)) {
    let _alone = PROCESSES.write().unwrap_or_else(PoisonError::into_inner);
    by_turns(body);
}

/// Runs a body that makes processes and needs no driver.
pub(crate) fn processes<T>(body: impl FnOnce() -> T) -> T {
    let _alone = PROCESSES.write().unwrap_or_else(PoisonError::into_inner);
    body()
}

#[expect(clippy::disallowed_macros, reason = "shown if the test fails, and only then")]
fn by_turns(body: impl Fn(&mut World)) {
    // A tool that runs the tests may be the end of a driver: valgrind runs no other thread while one waits in a ring.
    let left_out = std::env::var("TULIPA_LEAVE_OUT").unwrap_or_default();
    for name in NAMES.iter().filter(|name| **name != left_out) {
        println!("on {name}:");
        if let Some(mut world) = World::open(name) {
            body(&mut world);
        }
    }
}

/// A token that no other test uses.
pub(crate) fn token() -> Token {
    static LAST: AtomicU64 = AtomicU64::new(0x1234_0000_0000);
    Token::from_bits(LAST.fetch_add(1, Ordering::Relaxed))
}

pub(crate) fn errno(errno: rustix::io::Errno) -> Code {
    Code(errno.raw_os_error())
}

impl World {
    /// The driver of that name; nothing, with a word why, if it is one that a kernel may refuse, and does.
    #[expect(clippy::disallowed_macros, reason = "shown if the test fails, and only then")]
    pub(crate) fn open(name: &str) -> Option<Self> {
        match SystemDriver::open(name) {
            Ok((driver, waker)) => Some(Self { driver, waker }),
            Err(refused @ OpenError::Refused { name: "io_uring", .. }) => {
                println!("skipped: {refused}");
                None
            }
            Err(error) => panic!("{error}"),
        }
    }

    pub(crate) fn attach(&mut self, source: &mut Source, interest: Interest) -> Token {
        let token = token();
        self.driver.attach(token, source, interest).expect("attached");
        token
    }

    pub(crate) fn close(&mut self, source: Source) {
        Driver::close(&mut self.driver, source);
    }

    /// What has happened by now.
    pub(crate) fn glance(&mut self) -> Vec<Completion> {
        self.driver.poll().expect("polled");
        std::iter::from_fn(|| self.driver.next_completion()).collect()
    }

    /// What happens within `timeout`.
    pub(crate) fn sleep(&mut self, timeout: Option<f64>) -> Vec<Completion> {
        let mut nap = self.driver.nap();
        nap.sleep(timeout).expect("slept");
        self.driver.woken(nap);
        std::iter::from_fn(|| self.driver.next_completion()).collect()
    }

    /// Sleeps until a completion for `token` comes for which `wanted` holds.
    #[track_caller]
    pub(crate) fn wait(&mut self, token: Token, wanted: impl Fn(&Completion) -> bool) -> Completion {
        let start = self.driver.now();
        loop {
            let found = self.sleep(Some(PATIENCE)).into_iter().find(|seen| seen.token == token && wanted(seen));
            if let Some(completion) = found {
                return completion;
            }
            assert!(self.driver.now() < start.after(PATIENCE), "nothing came for {token:?}");
        }
    }

    #[track_caller]
    pub(crate) fn readable(&mut self, token: Token) -> Completion {
        self.wait(token, |seen| seen.readable)
    }

    #[track_caller]
    pub(crate) fn writable(&mut self, token: Token) -> Completion {
        self.wait(token, |seen| seen.writable)
    }

    /// Nothing is reported for `token`, not even when asked twice.
    #[track_caller]
    pub(crate) fn silent(&mut self, token: Token) {
        for _ in 0..2 {
            let seen = self.glance();
            assert!(seen.iter().all(|seen| seen.token != token), "{seen:?}");
        }
    }

    /// Reads once.
    #[track_caller]
    pub(crate) fn read(&mut self, source: &mut Source) -> Option<Vec<u8>> {
        let mut buffer = [0; 4096];
        match self.driver.read(source, &mut buffer).expect("readable") {
            Attempt::Done(count) => Some(buffer[..count].to_vec()),
            Attempt::Pending => None,
        }
    }

    /// Waits for exactly `count` bytes as the loop does: after a short or vain read, for a completion.
    #[track_caller]
    pub(crate) fn read_exactly(&mut self, source: &mut Source, token: Token, count: usize) -> Vec<u8> {
        let mut all = Vec::new();
        let mut hangup = self.readable(token).hangup;
        loop {
            let mut buffer = [0; 4096];
            let attempt = self.driver.read(source, &mut buffer).expect("readable");
            let short = match attempt {
                Attempt::Done(0) => panic!("ended after {} bytes of {count}", all.len()),
                Attempt::Done(got) => {
                    all.extend_from_slice(&buffer[..got]);
                    got < buffer.len() && !hangup
                }
                Attempt::Pending => true,
            };
            if all.len() >= count {
                assert_eq!(all.len(), count);
                return all;
            }
            if short {
                hangup |= self.readable(token).hangup;
            }
        }
    }

    pub(crate) fn write(&mut self, source: &mut Source, chunks: &[&[u8]]) -> Result<Attempt<usize>, Code> {
        let slices: Vec<_> = chunks.iter().map(|chunk| IoSlice::new(chunk)).collect();
        self.driver.write(source, &slices)
    }

    /// Writes until there is no room.
    #[track_caller]
    pub(crate) fn fill(&mut self, source: &mut Source) -> usize {
        let chunk = [b'x'; 50_000];
        let mut total = 0;
        while let Attempt::Done(count) = self.write(source, &[&chunk]).expect("writable") {
            total += count;
        }
        total
    }
}

/// Two connected TCP sockets.
pub(crate) fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (far, _) = listener.accept().expect("accepted");
    (near, far)
}

/// A source over a TCP connection, and the other end.
pub(crate) fn tcp() -> (Source, TcpStream) {
    let (near, far) = tcp_pair();
    (Source::socket(Descriptor::Owned(near.into())).expect("a socket"), far)
}

/// A source over a Unix connection, and the other end.
pub(crate) fn unix() -> (Source, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair");
    (Source::socket(Descriptor::Owned(near.into())).expect("a socket"), far)
}

/// The flags that everyone who shares the description sees.
pub(crate) fn shared_flags(fd: &OwnedFd) -> OFlags {
    fcntl_getfl(fd).expect("flags")
}

/// The events of the epoll entries with `token`, from what the kernel shows of itself.
pub(crate) fn epoll_entries(token: Token) -> Vec<u32> {
    let wanted = format!("{:x}", token.to_bits());
    let numbers = std::fs::read_dir("/proc/self/fdinfo").expect("proc").filter_map(Result::ok);
    let texts = numbers.filter_map(|number| std::fs::read_to_string(number.path()).ok());
    texts
        .flat_map(|text| {
            let lines = text.lines().filter(|line| line.starts_with("tfd:"));
            let words = lines.map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
            words.filter(|words| words.get(5) == Some(&wanted)).collect::<Vec<_>>()
        })
        .map(|words| u32::from_str_radix(&words[3], 16).expect("hexadecimal events"))
        .collect()
}

/// What `fd` is, as the kernel names it.
pub(crate) fn link(fd: &impl AsRawFd) -> String {
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    std::fs::read_link(path).map(|path| path.to_string_lossy().into_owned()).unwrap_or_default()
}
