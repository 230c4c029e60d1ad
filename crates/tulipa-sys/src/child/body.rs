//! What a child does between its making and the program, in the memory and beside the threads of its parent.
//!
//! Unsafe code is allowed here, under the rules of `starting`, of which two are kept in this file: the child writes to nothing
//! but its own stack, and it makes its system calls by themselves. Nothing here may allocate, lock, panic, or touch a
//! thread-local, and nothing may call the C library.
//!
//! The steps and their order are those of `subprocess.Popen`, and taking a controlling terminal, which follows the session.
#![expect(unsafe_code, reason = "system calls without the C library")]

use std::ffi::{c_int, c_void};
use std::os::fd::RawFd;

use syscalls::{Sysno, syscall};
use tulipa_core::Code;

use super::starting::Plan;
use super::{Failure, Step};

/// The bytes of a report: the step, then the error number.
pub(super) const REPORT_BYTES: usize = 8;

/// As subprocess: what a child reports that did not become the program, to those who do not read its report.
const FAILED: usize = 255;

/// The size of a signal set in the kernel, which is smaller than the C library's.
const SIGNAL_SET_BYTES: usize = if cfg!(any(target_arch = "mips", target_arch = "mips64")) { 16 } else { 8 };

/// The signals that CPython ignores from its start.
const IGNORED_BY_PYTHON: [c_int; 2] = [libc::SIGPIPE, libc::SIGXFSZ];

/// The child's first and last function in its parent's memory.
pub(super) extern "C" fn become_program(plan: *mut c_void) -> c_int {
    // SAFETY: `Starting::new` passes the plan, which is valid and unchanged for as long as this process reads it (rule 1).
    let plan = unsafe { &*plan.cast::<Plan>() };
    let (step, errno) = prepare_and_execute(plan);
    let [a, b, c, d] = errno.to_ne_bytes();
    let report = [step, 0, 0, 0, a, b, c, d];
    // SAFETY: the bytes are on this stack. Nothing is to be done if nobody reads them; the last call does not return.
    unsafe {
        let _ = syscall!(Sysno::write, plan.report, report.as_ptr(), report.len());
        let _ = syscall!(Sysno::exit_group, FAILED);
    }
    c_int::from(u8::MAX)
}

pub(super) fn read_report(report: [u8; REPORT_BYTES]) -> Failure {
    let [step, _, _, _, a, b, c, d] = report;
    let step = match step {
        PREPARE => Step::Prepare,
        CHANGE_FOLDER => Step::ChangeFolder,
        _ => Step::Execute,
    };
    Failure { step, code: Code(i32::from_ne_bytes([a, b, c, d])) }
}

const PREPARE: u8 = 0;
const CHANGE_FOLDER: u8 = 1;
const EXECUTE: u8 = 2;

/// Returns only if something failed: the step and the error number.
fn prepare_and_execute(plan: &Plan) -> (u8, i32) {
    let program = &plan.program;
    if let Err(errno) = arrange_descriptors(plan) {
        return (PREPARE, errno);
    }
    if let Some(folder) = &program.folder {
        // SAFETY: a string that the plan owns.
        if let Err(errno) = unsafe { call(syscall!(Sysno::chdir, folder.as_ptr())) } {
            return (CHANGE_FOLDER, errno);
        }
    }
    if let Err(errno) = arrange_process(plan) {
        return (PREPARE, errno);
    }
    (EXECUTE, execute(plan))
}

fn arrange_descriptors(plan: &Plan) -> Result<(), i32> {
    for &number in plan.program.kept.iter().flatten() {
        set_inheritable(number)?;
    }
    let [input, mut output, mut error] = plan.program.streams;
    // What is needed later must not be where an earlier one goes.
    if output == Some(0) {
        output = Some(duplicate(0)?);
    }
    if let Some(number @ (0 | 1)) = error {
        error = Some(duplicate(number)?);
    }
    for (stream, target) in [(input, 0), (output, 1), (error, 2)] {
        match stream {
            Some(number) if number == target => set_inheritable(number)?,
            // SAFETY: numbers only.
            Some(number) => unsafe { call(syscall!(Sysno::dup3, number, target, 0))? },
            None => {}
        }
    }
    Ok(())
}

fn set_inheritable(number: RawFd) -> Result<(), i32> {
    // SAFETY: numbers only. FD_CLOEXEC is the one flag that this call sets.
    unsafe { call(syscall!(Sysno::fcntl, number, libc::F_SETFD, 0)) }
}

fn duplicate(number: RawFd) -> Result<RawFd, i32> {
    // SAFETY: numbers only.
    let copy = unsafe { syscall!(Sysno::fcntl, number, libc::F_DUPFD_CLOEXEC, 3) };
    copy.map_err(|errno| errno.into_raw()).map(|number| RawFd::try_from(number).unwrap_or(RawFd::MAX))
}

fn arrange_process(plan: &Plan) -> Result<(), i32> {
    let program = &plan.program;
    if let Some(mask) = program.umask {
        // SAFETY: numbers only.
        unsafe { call(syscall!(Sysno::umask, mask))? };
    }
    if program.restore_signals {
        for signal in IGNORED_BY_PYTHON {
            set_default(signal)?;
        }
    }
    for &signal in &plan.handled {
        set_default(signal)?;
    }
    let blocked: *const libc::sigset_t = &plan.blocked;
    // SAFETY: the kernel reads the first bytes of the set, which has them in the kernel's order.
    unsafe { call(syscall!(Sysno::rt_sigprocmask, libc::SIG_SETMASK, blocked, 0, SIGNAL_SET_BYTES))? };
    if program.new_session {
        // SAFETY: no arguments.
        unsafe { call(syscall!(Sysno::setsid))? };
    }
    if program.controlling_terminal {
        // SAFETY: numbers only. The last says that a terminal is not taken from another session.
        unsafe { call(syscall!(Sysno::ioctl, 0, libc::TIOCSCTTY, 0))? };
    }
    if let Some(group) = program.process_group {
        // SAFETY: numbers only.
        unsafe { call(syscall!(Sysno::setpgid, 0, group))? };
    }
    if let Some(kept) = &plan.kept {
        let mut first = 3;
        for &number in kept {
            if number > first {
                close_from_to(first, number - 1)?;
            }
            first = number.saturating_add(1);
        }
        close_from_to(first, RawFd::MAX)?;
    }
    Ok(())
}

fn set_default(signal: c_int) -> Result<(), i32> {
    // All bits zero are the default action with an empty mask and no flags, and no machine has a longer structure.
    let action = [0_u64; 32];
    // SAFETY: the structure is on this stack, and only this process's actions change: its table is a copy.
    unsafe { call(syscall!(Sysno::rt_sigaction, signal, action.as_ptr(), 0, SIGNAL_SET_BYTES)) }
}

fn close_from_to(first: RawFd, last: RawFd) -> Result<(), i32> {
    // SAFETY: numbers only, and this process's table is a copy.
    unsafe { call(syscall!(Sysno::close_range, first, last, 0)) }
}

/// Tries each path. As a shell does, goes on where there is nothing, and reports the first error that says more.
fn execute(plan: &Plan) -> i32 {
    let (mut last, mut telling) = (libc::ENOENT, None);
    for path in &plan.program.paths {
        // SAFETY: the path is a string and the other two are arrays of strings that end with a null, all owned by the plan.
        let Err(errno) = (unsafe {
            call(syscall!(Sysno::execve, path.as_ptr(), plan.arguments.as_ptr(), plan.environment.as_ptr()))
        }) else {
            continue;
        };
        last = errno;
        if errno != libc::ENOENT && errno != libc::ENOTDIR && telling.is_none() {
            telling = Some(errno);
        }
    }
    telling.unwrap_or(last)
}

fn call(result: Result<usize, syscalls::Errno>) -> Result<(), i32> {
    result.map(drop).map_err(|errno| errno.into_raw())
}

/// For the parent, beforehand: fails if the kernel does not close ranges of descriptors (Linux 5.9), or does not let this
/// process do it.
pub(super) fn check_close_range() -> Result<(), i32> {
    // SAFETY: the range holds no number that can be open.
    unsafe { call(syscall!(Sysno::close_range, u32::MAX, u32::MAX, 0)) }
}
