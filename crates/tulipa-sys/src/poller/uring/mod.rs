//! Binds io_uring(7), for waiting: registrations are polls in the ring, and submitted by the call that waits.
//!
//! Bytes are moved by the same system calls as under the other pollers. Receiving and accepting through the ring need
//! buffers that wait, and were no faster.
//!
//! What the kernel really does, and what follows:
//!
//! 1. A poll holds its file. It is cancelled, by a system call of its own, whenever its registration ends or changes:
//!    otherwise a socket would not be closed when its number is. Numbers that the program itself may close at any time
//!    have no poll for that reason. They are left to an epoll, which holds nothing, and the ring polls that. So does the
//!    waker, and so do kinds of which only epoll knows whether they can be waited for.
//! 2. A *multishot* poll is edge-triggered: it reports what holds when it is made, and then each change. A poll that
//!    reports once, and is made anew at the next wait, is level-triggered.
//! 3. What is reported of a change is what the file has said of it, not what holds. TCP says of all that arrives that it
//!    may be urgent, so those who would have to know are asked with poll(2), once for all that a wait has found.
//! 4. Each poll has a number that none had before it, the *generation*, so what a cancelled one has left in the queue, or
//!    says of its end, concerns nobody (R1).
//! 5. A poll is carried on by the thread that has submitted it. It must leave the kernel now and then, and if it ends, so
//!    does the poll at its next report. A thread that is not in the turn therefore submits no polls: what it registers
//!    wakes the loop, whose next wait submits it. A loop that has come to another thread makes all of its polls anew.
//! 6. A poll also ends by itself when the queue of completions is full. It is made anew, and reports what holds.

mod ring;

use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::sync::Arc;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use slab::Slab;
use tulipa_core::{Code, Completion, Interest, Nap, Token, Trigger, Wake};

use self::ring::{Ended, Found, Queues, Ring};
use super::epoll::Epoll;
use super::{Poller, Registration, Request};
use crate::clock::to_nanos;
use crate::descriptor::borrow;
use crate::errno::code;
use crate::waker::Waker;

/// The place of the epoll in the names of polls. No slab grows to this size.
const EPOLL: u32 = u32::MAX - 1;

const GONE: PollFlags = PollFlags::HUP.union(PollFlags::ERR);
const HANGUP: PollFlags = GONE.union(PollFlags::RDHUP);
const READABLE: PollFlags = HANGUP.union(PollFlags::IN).union(PollFlags::PRI);
const WRITABLE: PollFlags = GONE.union(PollFlags::OUT);

#[derive(Debug)]
pub(crate) struct Uring {
    ring: Arc<Ring>,
    queues: Queues,
    /// What may be closed by others (rule 1).
    epoll: Epoll,
    /// The poll of the epoll, if there is one now.
    epoll_poll: Option<u64>,
    waker: Waker,
    entries: Slab<Entry>,
    /// Which entries to make polls for at the next wait. Some may have changed since.
    wanted: Vec<usize>,
    /// The last poll's (rule 4).
    generation: u32,
    reports: Vec<Completion>,
    /// How many of `reports` were given out.
    taken: usize,
    /// Counts the batches of reports, so that an entry can tell whether it has one in this.
    batch: u64,
    /// Which of `reports` may be of urgent data (rule 3), kept for its memory.
    doubtful: Vec<(usize, PollFd<'static>)>,
    /// The thread whose polls they are (rule 5).
    thread: usize,
    /// A wait is under way.
    napping: bool,
}

/// A wait in io_uring_enter(2).
#[derive(Debug)]
pub(crate) struct UringNap {
    ring: Arc<Ring>,
    /// It need not wait, since there are reports already.
    awake: bool,
    /// Completions were lost.
    lossy: bool,
}

#[derive(Debug)]
struct Entry {
    fd: RawFd,
    request: Request,
    state: State,
    /// In which batch it was reported last, and its place there.
    batch: u64,
    report: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing is asked of the kernel.
    Idle,
    /// Among those for which a poll is to be made.
    Wanted,
    /// There is a poll, of that name.
    Polled(u64),
}

impl Uring {
    /// Asks something else for an entry from now on: ends its poll, and has another one made at the next wait.
    fn renew(&mut self, fd: BorrowedFd<'_>, registration: &Registration) {
        let (key, request) = (registration.key, registration.request);
        self.disarm(key);
        let Some(entry) = self.entries.get_mut(key) else { return };
        (entry.fd, entry.request) = (fd.as_raw_fd(), request);
        if is_empty(request.interest) {
            return;
        }
        entry.state = State::Wanted;
        self.wanted.push(key);
        if self.napping {
            // The wait that is under way does not know of it (rule 5).
            self.waker.wake();
        }
    }

    /// Ends an entry's poll before it returns (rule 1).
    fn disarm(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else { return };
        if let State::Polled(data) = std::mem::replace(&mut entry.state, State::Idle) {
            // Fails if the kernel has no memory at all. The file is then held for as long as the ring.
            let _ = self.queues.cancel(data).and_then(|()| self.queues.submit());
        }
    }

    /// Makes polls for whoever wants one.
    fn arm(&mut self) -> Result<(), Code> {
        let here = thread_mark();
        if std::mem::replace(&mut self.thread, here) != here {
            self.renew_all()?;
        }
        if self.epoll_poll.is_none() {
            let data = name(&mut self.generation, EPOLL);
            self.queues.poll(data, self.epoll.number(), PollFlags::IN, true)?;
            self.epoll_poll = Some(data);
        }
        let mut wanted = std::mem::take(&mut self.wanted);
        let result = wanted.iter().try_for_each(|&key| self.arm_one(key));
        if result.is_ok() {
            wanted.clear();
        }
        // Those that have a poll by now are passed over when it is tried again.
        self.wanted = wanted;
        result
    }

    fn arm_one(&mut self, key: usize) -> Result<(), Code> {
        let Some(entry) = self.entries.get_mut(key).filter(|entry| entry.state == State::Wanted) else { return Ok(()) };
        let data = name(&mut self.generation, u32::try_from(key).map_err(|_| code(Errno::NFILE))?);
        let once = entry.request.interest.trigger == Trigger::Level;
        self.queues.poll(data, entry.fd, events(&entry.request), once)?;
        entry.state = State::Polled(data);
        Ok(())
    }

    /// Has all polls made anew, for another thread (rule 5) or since completions were lost.
    fn renew_all(&mut self) -> Result<(), Code> {
        if let Some(data) = self.epoll_poll.take() {
            self.queues.cancel(data)?;
        }
        for (key, entry) in &mut self.entries {
            if let State::Polled(data) = entry.state {
                self.queues.cancel(data)?;
                entry.state = State::Wanted;
                self.wanted.push(key);
            }
        }
        Ok(())
    }

    /// Forgets reports that were given out; those that were not stay, since an edge comes only once.
    #[inline]
    fn make_room(&mut self) {
        self.reports.drain(..self.taken);
        self.taken = 0;
        self.batch = self.batch.wrapping_add(1);
    }

    /// Takes what has been completed; whether the epoll has something, too.
    #[inline]
    fn gather(&mut self) -> Result<bool, Code> {
        let Self { queues, entries, wanted, reports, doubtful, epoll_poll, batch, .. } = self;
        let mut more = false;
        queues.take(|found| {
            if *epoll_poll == Some(found.data) {
                (*epoll_poll, more) = (None, true);
                return;
            }
            // Who is not found, or has another poll, has nothing to do with it (rule 4).
            let polled = |entry: &&mut Entry| entry.state == State::Polled(found.data);
            let Some(entry) = entries.get_mut(place(found.data)).filter(polled) else { return };
            if !found.more {
                entry.state = State::Idle;
                if found.may_go_on() {
                    entry.state = State::Wanted;
                    wanted.push(place(found.data));
                }
            }
            let Some(report) = report(entry.request.token, found) else { return };
            if entry.batch != *batch {
                (entry.batch, entry.report) = (*batch, reports.len());
                reports.push(report);
                if let (true, Ok(fd)) = (found.is_doubtful(), borrow(entry.fd)) {
                    doubtful.push((entry.report, PollFd::from_borrowed_fd(fd, PollFlags::PRI)));
                }
            } else if let Some(earlier) = reports.get_mut(entry.report) {
                earlier.readable |= report.readable;
                earlier.writable |= report.writable;
                earlier.hangup |= report.hangup;
            }
        });
        if !self.doubtful.is_empty() {
            self.resolve_doubts();
        }
        if more {
            self.epoll.poll()?;
        }
        Ok(more)
    }

    /// Finds out where there is urgent data, behind which a short read stops like behind the last byte.
    fn resolve_doubts(&mut self) {
        let (places, mut asked): (Vec<usize>, Vec<PollFd<'_>>) = self.doubtful.drain(..).unzip();
        let answered = poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok();
        for (place, asked) in places.into_iter().zip(asked) {
            if let Some(report) = self.reports.get_mut(place) {
                report.hangup |= !answered || asked.revents().contains(PollFlags::PRI);
            }
        }
    }
}

impl Found {
    /// Whether a poll that has ended is to be made anew: it was one that reports once, or there was no room for another
    /// completion, or the thread that had submitted it has ended.
    fn may_go_on(&self) -> bool {
        matches!(self.ready, Ok(_) | Err(Errno::CANCELED))
    }

    /// Whether it may be of urgent data.
    fn is_doubtful(&self) -> bool {
        self.ready.is_ok_and(|flags| flags.contains(PollFlags::PRI))
    }
}

impl Poller for Uring {
    type Nap = UringNap;

    fn open() -> Result<(Self, Waker), Code> {
        let (ring, queues) = ring::open()?;
        let (epoll, waker) = Epoll::open()?;
        let poller = Self {
            ring,
            queues,
            epoll,
            epoll_poll: None,
            waker: waker.clone(),
            entries: Slab::new(),
            wanted: Vec::new(),
            generation: 0,
            reports: Vec::new(),
            taken: 0,
            batch: 0,
            doubtful: Vec::new(),
            thread: thread_mark(),
            napping: false,
        };
        Ok((poller, waker))
    }

    fn add(&mut self, fd: BorrowedFd<'_>, request: Request) -> Result<Registration, Code> {
        if !request.held {
            return self.epoll.add(fd, request);
        }
        let entry =
            Entry { fd: fd.as_raw_fd(), request, state: State::Idle, batch: self.batch.wrapping_sub(1), report: 0 };
        let registration = Registration { key: self.entries.insert(entry), ..Registration::new(request) };
        self.renew(fd, &registration);
        Ok(registration)
    }

    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        registration: &mut Registration,
        token: Token,
        interest: Interest,
    ) -> Result<(), Code> {
        if !registration.request.held {
            return self.epoll.modify(fd, registration, token, interest);
        }
        registration.request = Request { token, interest, ..registration.request };
        self.renew(fd, registration);
        Ok(())
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, registration: Registration) {
        if !registration.request.held {
            return self.epoll.remove(fd, registration);
        }
        self.disarm(registration.key);
        self.entries.try_remove(registration.key);
    }

    fn forget(&mut self, fd: BorrowedFd<'_>, registration: Registration) {
        self.remove(fd, registration);
    }

    #[inline]
    fn read_pending(&mut self, _registration: &Registration) {
        // The kernel knows.
    }

    #[inline]
    fn write_pending(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        if !registration.request.held {
            return self.epoll.write_pending(fd, registration);
        }
        // As under epoll, it stays from now on.
        let before = std::mem::replace(&mut registration.request.write_blocked, true);
        if !before && registration.request.interest.trigger == Trigger::Edge {
            self.renew(fd, registration);
        }
        Ok(())
    }

    fn look_again(&mut self, fd: BorrowedFd<'_>, registration: &mut Registration) -> Result<(), Code> {
        if !registration.request.held {
            return self.epoll.look_again(fd, registration);
        }
        self.renew(fd, registration);
        Ok(())
    }

    #[inline]
    fn poll(&mut self) -> Result<(), Code> {
        self.make_room();
        // The epoll is asked once, since it tells of levels each time.
        if !self.gather()? {
            self.arm()?;
            if self.queues.is_due() {
                self.queues.submit()?;
                self.gather()?;
            }
        }
        Ok(())
    }

    fn nap(&mut self) -> UringNap {
        self.make_room();
        // What fails here fails again at the next look, and is reported then.
        let awake = self.gather().unwrap_or(true) || !self.reports.is_empty() || self.arm().is_err();
        self.napping = true;
        UringNap { ring: Arc::clone(&self.ring), awake, lossy: false }
    }

    fn woken(&mut self, nap: UringNap) {
        self.napping = false;
        if nap.lossy {
            let _ = self.renew_all();
        }
        let _ = self.gather();
    }

    #[inline]
    fn next(&mut self) -> Option<Completion> {
        let Some(report) = self.reports.get(self.taken).copied() else { return self.epoll.next() };
        self.taken += 1;
        Some(report)
    }
}

impl Nap for UringNap {
    fn sleep(&mut self, timeout: Option<f64>) -> Result<(), Code> {
        if !self.awake {
            self.lossy = self.ring.wait(timeout.map(to_nanos))? == Ended::WithLosses;
        }
        Ok(())
    }
}

/// Something that no other living thread has.
fn thread_mark() -> usize {
    std::thread_local! {
        static MARK: u8 = const { 0 };
    }
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}

/// The name of a new poll for the entry at `place`.
fn name(generation: &mut u32, place: u32) -> u64 {
    *generation = generation.wrapping_add(1);
    u64::from(*generation) << 32 | u64::from(place)
}

/// The place of the entry that a poll is for.
const fn place(data: u64) -> usize {
    (data & 0xffff_ffff) as usize
}

/// What a completion says to the loop.
fn report(token: Token, found: Found) -> Option<Completion> {
    match found.ready {
        Ok(flags) => Some(Completion {
            token,
            readable: flags.intersects(READABLE),
            writable: flags.intersects(WRITABLE),
            hangup: flags.intersects(HANGUP),
        }),
        Err(Errno::CANCELED) => None,
        // The number is not open, or the file has more to wait for than a poll can. Whoever waits must try to find out.
        Err(_) => Some(Completion { token, readable: true, writable: true, hangup: true }),
    }
}

/// An interest that only unmaskable events would answer, again and again.
const fn is_empty(interest: Interest) -> bool {
    matches!(interest, Interest { read: false, write: false, trigger: Trigger::Level })
}

fn events(request: &Request) -> PollFlags {
    let Request { interest, write_blocked, urgent, .. } = *request;
    let edge = interest.trigger == Trigger::Edge;
    let mut flags = PollFlags::empty();
    flags.set(PollFlags::IN, interest.read);
    flags.set(PollFlags::RDHUP, interest.read && edge);
    flags.set(PollFlags::PRI, interest.read && edge && urgent);
    flags.set(PollFlags::OUT, interest.write && (write_blocked || !edge));
    flags
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use tulipa_core::{Interest, Nap, Token, Trigger};

    use super::Uring;
    use crate::poller::{Poller, Request};

    const BOTH: Interest = Interest { read: true, write: true, trigger: Trigger::Edge };
    const LEVEL: Interest = Interest { read: true, write: false, trigger: Trigger::Level };

    /// A poller; nothing where the kernel refuses it.
    fn poller() -> Option<Uring> {
        Uring::open().ok().map(|(poller, _waker)| poller)
    }

    fn request(interest: Interest) -> Request {
        Request { token: Token::from_bits(7), interest, write_blocked: false, urgent: true, held: true }
    }

    fn tcp_pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
        (near, listener.accept().expect("accepted").0)
    }

    fn turn(poller: &mut Uring) -> usize {
        let mut nap = poller.nap();
        nap.sleep(Some(1.0)).expect("slept");
        poller.woken(nap);
        std::iter::from_fn(|| poller.next()).count()
    }

    #[test]
    fn steady_traffic_makes_no_polls() {
        let Some(mut poller) = poller() else { return };
        let (mut near, mut far) = tcp_pair();
        let registration = poller.add(near.as_fd(), request(BOTH)).expect("added");
        poller.poll().expect("polled");
        let made = poller.generation;
        for _ in 0..100 {
            far.write_all(b"ping").expect("sent");
            assert_eq!(turn(&mut poller), 1);
            near.read_exact(&mut [0; 4]).expect("received");
            near.write_all(b"pong").expect("sent");
            far.read_exact(&mut [0; 4]).expect("received");
        }
        assert_eq!(poller.generation, made, "each poll has a number of its own");
        poller.remove(near.as_fd(), registration);
    }

    #[test]
    fn a_turn_with_nothing_to_submit_does_not_enter_the_kernel() {
        let Some(mut poller) = poller() else { return };
        let (near, _far) = tcp_pair();
        let registration = poller.add(near.as_fd(), request(LEVEL)).expect("added");
        poller.poll().expect("polled");
        assert!(!poller.queues.is_due());
        poller.poll().expect("polled");
        assert!(!poller.queues.is_due());
        poller.remove(near.as_fd(), registration);
    }

    #[test]
    fn several_changes_are_one_report() {
        let Some(mut poller) = poller() else { return };
        let (near, mut far) = tcp_pair();
        let registration = poller.add(near.as_fd(), request(BOTH)).expect("added");
        poller.poll().expect("polled");
        for _ in 0..5 {
            far.write_all(b"ping").expect("sent");
        }
        assert_eq!(turn(&mut poller), 1);
        poller.remove(near.as_fd(), registration);
    }

    #[test]
    fn losses_are_made_good_by_looking_again() {
        let Some(mut poller) = poller() else { return };
        let (near, mut far) = tcp_pair();
        let registration = poller.add(near.as_fd(), request(BOTH)).expect("added");
        poller.poll().expect("polled");
        far.write_all(b"ping").expect("sent");
        poller.queues.take(drop);
        let mut nap = poller.nap();
        nap.lossy = true;
        poller.woken(nap);
        poller.poll().expect("polled");
        assert!(poller.next().is_some_and(|report| report.readable));
        poller.remove(near.as_fd(), registration);
    }
}
