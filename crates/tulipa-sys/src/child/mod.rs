//! Starting a program in a child process without waiting until it has begun.
//!
//! `fork` copies the page tables of a large program, and `vfork` and `posix_spawn` suspend the thread that calls until the
//! child has changed its folder, closed what it must not have, searched the path and read the program from its disk. A
//! thread of its own for that would be the wrong parent: a child inherits its parent thread's priority, processors,
//! namespaces, seccomp filters and Landlock rules, and is told of *that thread's* end by `PR_SET_PDEATHSIG`.
//!
//! So the child is made by the thread that asks, borrows its memory as after `vfork`, and the thread goes on at once. The
//! child works on a stack of its own and says how it went through a pipe, whose other end is closed by `exec` or by death.
//!
//! | file | what lives there |
//! |---|---|
//! | here | what is to be started |
//! | `starting` | making the child, lending it memory, hearing how it went |
//! | `body` | what the child does until it is the program |

mod body;
mod starting;

use std::ffi::CString;
use std::os::fd::RawFd;

use tulipa_core::Code;

pub use starting::Starting;

/// What is to be started, and in which surroundings.
#[derive(Debug)]
pub struct Program {
    /// The arguments, of which the first is the program's name for itself.
    pub arguments: Vec<CString>,
    /// Where the program may be: the first path that can be executed is.
    pub paths: Vec<CString>,
    /// Its environment, each entry as `NAME=value`.
    pub environment: Vec<CString>,
    /// The folder to change to first.
    pub folder: Option<CString>,
    /// What becomes standard input, output and error; one without a number stays as it is.
    pub streams: [Option<RawFd>; 3],
    /// The descriptors from 3 on that stay open; without a list all stay that are inheritable.
    pub kept: Option<Vec<RawFd>>,
    /// Whether the signals that Python ignores get their default meaning back.
    pub restore_signals: bool,
    /// Whether it leads a session of its own.
    pub new_session: bool,
    /// Whether its standard input becomes the controlling terminal of that session.
    pub controlling_terminal: bool,
    /// The process group to enter; 0 is one of its own.
    pub process_group: Option<i32>,
    /// Which permissions its new files do not get.
    pub umask: Option<u32>,
}

impl Program {
    /// The numbers that the child is given.
    fn descriptors(&self) -> impl Iterator<Item = RawFd> {
        self.streams.iter().flatten().chain(self.kept.iter().flatten()).copied()
    }
}

/// What a child could not do on its way to the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Arranging descriptors, signals, session or group.
    Prepare,
    /// Changing the folder.
    ChangeFolder,
    /// Executing any of the paths.
    Execute,
}

/// A child that could not become the program. It ends by itself, and has to be reaped like any other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Failure {
    /// What failed.
    pub step: Step,
    /// Why.
    pub code: Code,
}
