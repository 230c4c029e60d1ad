//! One ring: its memory, its two queues, and the call that enters the kernel.
//!
//! Three types for three rights. [`Ring`] is the memory and the descriptor; whoever has it may enter the kernel, from any
//! thread and while others do the same. [`Queues`] is the right to write and read the queues, which there is once for
//! each ring. What can be written are polls and cancellations, neither of which points into this program's memory, so
//! nothing that the kernel works on has to be kept alive.
//!
//! Unsafe code is allowed here for what the `io-uring` crate leaves to its caller: that each queue has one user at a time,
//! and that what an entry points to stays.
#![expect(unsafe_code, reason = "the queues are shared with the kernel, and with threads that enter it")]

use std::os::fd::{AsRawFd, IntoRawFd, RawFd};
use std::sync::Arc;

use io_uring::opcode::{AsyncCancel, PollAdd};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Pid, getpid};
use tulipa_core::Code;

use crate::descriptor::{borrow, duplicate, is_standard_stream};
use crate::errno::code;

/// How many entries are submitted by one call at most.
const SUBMISSIONS: u32 = 256;

/// How many completions may wait in the ring. More are kept by the kernel, but end the polls that made them.
const COMPLETIONS: u32 = 4096;

/// How often a submission is tried that the kernel has no memory for.
const ATTEMPTS: u32 = 1000;

/// The user data of entries whose completion says nothing.
const NOTHING: u64 = u64::MAX;

/// A ring, to wait on.
pub(super) struct Ring {
    ring: IoUring,
    /// A wait for peers is no wait for a disk, and should not be counted as one.
    flags: EnterFlags,
}

/// The queues of a ring.
pub(super) struct Queues {
    ring: Arc<Ring>,
    /// Whose ring it is: after `fork` the child has it in its memory, too, and must leave it alone.
    process: Pid,
}

/// What became of a poll.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub(super) data: u64,
    /// What the file is ready for.
    pub(super) ready: Result<PollFlags, Errno>,
    /// The poll goes on.
    pub(super) more: bool,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// By a completion, by a signal, or in time.
    Ordinarily,
    /// The kernel had no memory to keep a completion, and tells of it once.
    WithLosses,
}

/// Opens a ring.
pub(super) fn open() -> Result<(Arc<Ring>, Queues), Code> {
    // Completions are made whenever the thread that has registered something leaves the kernel anyway, instead of by an
    // interrupt, and a flag tells where none has been made yet. Threads may change: a loop can be made in one, run in
    // another and closed in a third. So the ring does without what asks for a single one.
    let mut builder = IoUring::builder();
    builder.setup_clamp().setup_cqsize(COMPLETIONS).setup_coop_taskrun().setup_taskrun_flag();
    let ring = builder.build(SUBMISSIONS).map_err(from_io)?;
    let ring = if is_standard_stream(ring.as_raw_fd()) {
        let number = duplicate(borrow(ring.as_raw_fd())?).map_err(code)?;
        // SAFETY: the number was made for this, stands for a ring, and the parameters are those of that ring.
        unsafe { IoUring::from_fd(number.into_raw_fd(), ring.params().clone()) }.map_err(from_io)?
    } else {
        ring
    };
    let flags = if ring.params().is_feature_no_iowait() { EnterFlags::NO_IOWAIT } else { EnterFlags::empty() };
    let ring = Arc::new(Ring { ring, flags });
    Ok((Arc::clone(&ring), Queues { ring, process: getpid() }))
}

impl Ring {
    /// Submits what is queued and waits for a completion, but no longer than `timeout`.
    pub(super) fn wait(&self, timeout: Option<i64>) -> Result<Ended, Code> {
        let args = SubmitArgs::new();
        let time = timeout.map(|nanos| {
            let (secs, nanos) = (nanos.div_euclid(1_000_000_000), nanos.rem_euclid(1_000_000_000));
            Timespec::new().sec(secs.unsigned_abs()).nsec(u32::try_from(nanos).unwrap_or(0))
        });
        let args = time.as_ref().map_or(args, |time| args.timespec(time));
        match self.ring.submitter().submit_with_args_and_flags(1, &args, self.flags) {
            Ok(_) => Ok(Ended::Ordinarily),
            Err(error) => match Errno::from_io_error(&error) {
                Some(Errno::TIME | Errno::INTR | Errno::AGAIN | Errno::BUSY) => Ok(Ended::Ordinarily),
                Some(Errno::BADR) => Ok(Ended::WithLosses),
                _ => Err(from_io(error)),
            },
        }
    }
}

impl Queues {
    /// Queues a poll, which is to end with its first report if `once`.
    pub(super) fn poll(&mut self, data: u64, fd: RawFd, events: PollFlags, once: bool) -> Result<(), Code> {
        self.push(&PollAdd::new(Fd(fd), u32::from(events.bits())).multi(!once).build().user_data(data))
    }

    /// Queues the end of a poll. Once it is submitted, the file is let go: at once if this thread has submitted the
    /// poll, else as soon as the one that has leaves the kernel.
    ///
    /// Does nothing in the child of a fork, which shares the queues.
    pub(super) fn cancel(&mut self, data: u64) -> Result<(), Code> {
        if getpid() != self.process {
            return Ok(());
        }
        self.push(&AsyncCancel::new(data).build().user_data(NOTHING).flags(Flags::SKIP_SUCCESS))
    }

    fn push(&mut self, entry: &Entry) -> Result<(), Code> {
        loop {
            // SAFETY: there is one `Queues` for each ring, and it is borrowed mutably. What enters the kernel meanwhile
            // reads the atomic ends of the queue. The entry points to nothing.
            let pushed = unsafe { self.ring.ring.submission_shared().push(entry) };
            match pushed {
                Ok(()) => return Ok(()),
                Err(_full) => self.submit()?,
            }
        }
    }

    /// Submits what is queued, and has completions made that are due.
    pub(super) fn submit(&mut self) -> Result<(), Code> {
        let mut attempts = 0;
        loop {
            let result = self.ring.ring.submit();
            // SAFETY: as in `push`.
            if result.is_ok() && unsafe { self.ring.ring.submission_shared() }.is_empty() {
                return Ok(());
            }
            if let Err(error) = result {
                match Errno::from_io_error(&error) {
                    Some(Errno::INTR) => {}
                    Some(Errno::AGAIN | Errno::BUSY) if attempts < ATTEMPTS => {
                        attempts += 1;
                        std::thread::yield_now();
                    }
                    _ => return Err(from_io(error)),
                }
            }
        }
    }

    /// Whether entering the kernel would do anything.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        // SAFETY: as in `push`, but for the mutable borrow: nothing is written, and whoever writes has one.
        let submissions = unsafe { self.ring.ring.submission_shared() };
        !submissions.is_empty() || submissions.taskrun() || submissions.cq_overflow()
    }

    /// Takes what has been completed.
    #[inline]
    pub(super) fn take(&mut self, mut each: impl FnMut(Found)) {
        // SAFETY: there is one `Queues` for each ring, and it is borrowed mutably.
        let completions = unsafe { self.ring.ring.completion_shared() };
        for completion in completions.filter(|completion| completion.user_data() != NOTHING) {
            let result = completion.result();
            let ready = match u32::try_from(result) {
                // The upper half holds what a poll(2) could not return.
                Ok(flags) => Ok(PollFlags::from_bits_retain((flags & 0xffff) as u16)),
                Err(_) => Err(Errno::from_raw_os_error(result.saturating_neg())),
            };
            each(Found { data: completion.user_data(), ready, more: cqueue::more(completion.flags()) });
        }
    }
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Ring").field(&self.ring.as_raw_fd()).finish()
    }
}

impl std::fmt::Debug for Queues {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queues").field("ring", &self.ring).finish_non_exhaustive()
    }
}

fn from_io(error: std::io::Error) -> Code {
    code(Errno::from_io_error(&error).unwrap_or(Errno::IO))
}
