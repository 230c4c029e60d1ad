//! Making a child that borrows this process's memory, and hearing how it went.
//!
//! Unsafe code is allowed here: the child runs in its parent's memory, beside all of its parent's threads, until it
//! executes the program. Four rules make that sound; the last two are kept in `body`.
//!
//! 1. Whatever the child reads is in its [`Plan`], which does not move or change, and is freed only when the child has left
//!    this memory.
//! 2. No signal handler of the parent's runs in the child: all signals are blocked from before its making until it has
//!    replaced each handler by the default.
//! 3. The child writes to nothing but its own stack, which is part of the plan.
//! 4. The child makes system calls by themselves, never through the C library, whose `errno` is the parent thread's own.
//!    It does not allocate, lock, unwind, or touch a thread-local.
#![expect(unsafe_code, reason = "a child that borrows its parent's memory")]

use std::cell::UnsafeCell;
use std::ffi::{CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use tulipa_core::{Attempt, Code};

use super::{Failure, Program, body};
use crate::descriptor::above_stdio;
use crate::errno::{attempt, code};

/// Far more than the child's few frames need, in a build without optimisation as well.
const STACK_BYTES: usize = 32 * 1024;

#[repr(align(16))]
struct Stack(UnsafeCell<MaybeUninit<[u8; STACK_BYTES]>>);

/// All that the child reads on its way, in the form in which the kernel takes it.
pub(super) struct Plan {
    pub(super) program: Program,
    pub(super) arguments: Vec<*const c_char>,
    pub(super) environment: Vec<*const c_char>,
    /// What stays open from 3 on, in order, the report included.
    pub(super) kept: Option<Vec<RawFd>>,
    pub(super) report: RawFd,
    /// Signals whose handler is a function of the parent's.
    pub(super) handled: Vec<c_int>,
    /// The signals that the parent thread blocks, and the child after it.
    pub(super) blocked: libc::sigset_t,
    stack: Stack,
}

impl Plan {
    fn new(program: Program, report: RawFd) -> Self {
        let kept = program.kept.as_ref().map(|kept| {
            let mut kept: Vec<RawFd> = kept.iter().copied().filter(|&number| number >= 3).chain([report]).collect();
            kept.sort_unstable();
            kept
        });
        Self {
            arguments: null_terminated(&program.arguments),
            environment: null_terminated(&program.environment),
            kept,
            report,
            handled: handled_signals(),
            blocked: no_signals(),
            stack: Stack(UnsafeCell::new(MaybeUninit::uninit())),
            program,
        }
    }
}

fn null_terminated(strings: &[CString]) -> Vec<*const c_char> {
    strings.iter().map(|string| string.as_ptr()).chain([ptr::null()]).collect()
}

fn no_signals() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the call fills the set, and cannot fail with a valid pointer.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        set.assume_init()
    }
}

fn handled_signals() -> Vec<c_int> {
    (1..=libc::SIGRTMAX())
        .filter(|&signal| {
            let mut action = MaybeUninit::<libc::sigaction>::zeroed();
            // SAFETY: a query, into a structure of the right size; all bits zero is a valid one, with the default handler.
            let handler = unsafe {
                libc::sigaction(signal, ptr::null(), action.as_mut_ptr());
                action.assume_init().sa_sigaction
            };
            handler != libc::SIG_DFL && handler != libc::SIG_IGN
        })
        .collect()
}

/// A child between its making and the moment when it has become the program, or has failed to.
#[derive(Debug)]
pub struct Starting {
    id: i32,
    report: OwnedFd,
    failure: Option<Failure>,
    /// What the child reads; nothing once it has gone from this memory.
    plan: Option<NonNull<Plan>>,
}

// SAFETY: whoever owns this owns the plan, which is only read while it is lent and only freed here.
unsafe impl Send for Starting {}
// SAFETY: nothing is read from the plan through a shared reference.
unsafe impl Sync for Starting {}

impl Starting {
    /// Makes a child that will become the program. It is there at once, under the number `id`.
    ///
    /// # Errors
    /// As pipe2(2) and clone(2): EAGAIN, EMFILE, ENFILE and ENOMEM say that something is used up, EBADF that a descriptor
    /// is not open, anything else that this system does not let a program start children in this way.
    pub fn new(program: Program) -> Result<Self, Code> {
        if program.kept.is_some() {
            body::check_close_range().map_err(Code)?;
        }
        // Its end in the child is closed by exec, or by death. Here it is closed on return.
        let (report, childs_end) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)
            .and_then(|(read, write)| Ok((above_stdio(read)?, above_stdio(write)?)))
            .map_err(code)?;
        // Numbers that were not open when they were given, and are now: the child would never seem to begin.
        let own = [report.as_raw_fd(), childs_end.as_raw_fd()];
        if program.descriptors().any(|number| own.contains(&number)) {
            return Err(code(Errno::BADF));
        }
        let mut plan = Box::new(Plan::new(program, childs_end.as_raw_fd()));
        let all_blocked = AllBlocked::new();
        plan.blocked = all_blocked.before;
        let plan = NonNull::from(Box::leak(plan));
        // SAFETY: the stack is aligned and used by nobody else; the call wants the end that is one past its last byte, since
        // stacks grow downwards on every machine that Rust has a Linux for. The plan stays as it is until it is freed below
        // or in `outcome` (rule 1).
        let result = unsafe {
            let stack_end = (*plan.as_ptr()).stack.0.get().add(1).cast::<c_void>();
            libc::clone(body::become_program, stack_end, libc::CLONE_VM | libc::SIGCHLD, plan.as_ptr().cast())
        };
        // Before handlers run again, which may change it.
        let errno = std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        drop(all_blocked);
        if result < 0 {
            // SAFETY: leaked above, and there is no child that reads it.
            drop(unsafe { Box::from_raw(plan.as_ptr()) });
            return Err(Code(errno));
        }
        Ok(Self { id: result, report, failure: None, plan: Some(plan) })
    }

    /// The process number.
    #[must_use]
    pub const fn id(&self) -> i32 {
        self.id
    }

    /// How it went: pending until the child is the program, or dead.
    ///
    /// # Errors
    /// As read(2).
    pub fn outcome(&mut self) -> Result<Attempt<Option<Failure>>, Code> {
        while let Some(plan) = self.plan {
            let mut report = [0; body::REPORT_BYTES];
            match attempt(|| rustix::io::read(&self.report, &mut report))? {
                Attempt::Pending => return Ok(Attempt::Pending),
                Attempt::Done(0) => {
                    self.plan = None;
                    // SAFETY: leaked by `new`, and taken out here once. The kernel takes the borrowed memory from a process
                    // before it closes its descriptors, in exec as well as at its end, so the child has left (rule 1).
                    drop(unsafe { Box::from_raw(plan.as_ptr()) });
                }
                // A pipe keeps so few bytes together. The child goes on: to its end.
                Attempt::Done(_) => self.failure = Some(body::read_report(report)),
            }
        }
        Ok(Attempt::Done(self.failure))
    }
}

/// What becomes readable once [`outcome`](Starting::outcome) has something new.
impl AsFd for Starting {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.report.as_fd()
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        // A child that is still on its way keeps its plan: that is a leak, where freeing it would be worse.
        let _ = self.outcome();
    }
}

/// While it lives, this thread takes no signals.
struct AllBlocked {
    before: libc::sigset_t,
}

impl AllBlocked {
    fn new() -> Self {
        let mut before = no_signals();
        let mut all = no_signals();
        // SAFETY: the sets are valid, and the mask is this thread's own. The C library leaves its internal signals out, but
        // sends them only to threads that it knows, and the child is none.
        unsafe {
            libc::sigfillset(&mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        }
        Self { before }
    }
}

impl Drop for AllBlocked {
    fn drop(&mut self) {
        // SAFETY: the set is the one that was this thread's mask.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.before, ptr::null_mut()) };
    }
}
