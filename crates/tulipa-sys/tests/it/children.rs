//! Children: what they become, what they take with them, and what they say when they cannot.

use std::ffi::CString;
use std::io::Read;
use std::os::fd::{AsFd, AsRawFd, RawFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{Pid, WaitOptions, waitpid};
use tulipa_core::Attempt;
use tulipa_sys::child::{Failure, Program, Starting, Step};

use crate::world::{errno, processes};

fn string(text: &str) -> CString {
    CString::new(text).expect("no null in it")
}

fn strings(texts: &[&str]) -> Vec<CString> {
    texts.iter().map(|text| string(text)).collect()
}

fn program(paths: &[&str], arguments: &[&str]) -> Program {
    Program {
        arguments: strings(arguments),
        paths: strings(paths),
        environment: strings(&["NAME=value"]),
        folder: None,
        streams: [None; 3],
        kept: Some(Vec::new()),
        restore_signals: true,
        new_session: false,
        controlling_terminal: false,
        process_group: None,
        umask: None,
    }
}

fn shell(line: &str) -> Program {
    program(&["/bin/sh"], &["sh", "-c", line])
}

/// Waits for a child, and says what it could not do and with which status it ended.
fn end(mut starting: Starting) -> (Option<Failure>, Option<i32>) {
    let (_, status) = waitpid(Pid::from_raw(starting.id()), WaitOptions::empty()).expect("waited").expect("ended");
    // It is gone, so it has closed its end of the report.
    let Attempt::Done(failure) = starting.outcome().expect("a report") else { panic!("a report of a dead child") };
    assert_eq!(starting.outcome(), Ok(Attempt::Done(failure)), "asked again");
    (failure, status.exit_status())
}

fn run(program: Program) -> (Option<Failure>, Option<i32>) {
    processes(|| end(Starting::new(program).expect("a child")))
}

/// What a child writes, which must be a program in the end.
fn output(mut program: Program) -> String {
    processes(|| {
        let (mut read, write) = std::io::pipe().expect("a pipe");
        program.streams[1] = Some(write.as_raw_fd());
        let starting = Starting::new(program).expect("a child");
        drop(write);
        let mut text = String::new();
        read.read_to_string(&mut text).expect("read");
        assert_eq!(end(starting), (None, Some(0)), "{text}");
        text
    })
}

fn failed(step: Step, number: Errno) -> (Option<Failure>, Option<i32>) {
    (Some(Failure { step, code: errno(number) }), Some(255))
}

#[test]
fn a_child_becomes_the_program() {
    assert_eq!(run(shell("exit 7")), (None, Some(7)));
    assert_eq!(output(shell("echo $NAME $0")), "value sh\n");
}

#[test]
fn the_report_is_pending_until_the_child_is_the_program_and_then_readable() {
    processes(|| {
        let mut starting = Starting::new(shell("exit 0")).expect("a child");
        while starting.outcome() == Ok(Attempt::Pending) {
            let report = starting.as_fd();
            poll(&mut [PollFd::new(&report, PollFlags::IN)], None).expect("waited");
        }
        assert_eq!(end(starting), (None, Some(0)));
    });
}

#[test]
fn a_program_is_looked_for_in_each_place() {
    let paths = ["/missing/sh", "/etc/passwd/sh", "/bin/sh"];
    assert_eq!(run(program(&paths, &["sh", "-c", "exit 3"])), (None, Some(3)));
}

#[test]
fn a_child_says_why_it_is_not_the_program() {
    assert_eq!(run(program(&["/missing"], &["x"])), failed(Step::Execute, Errno::NOENT));
    assert_eq!(run(program(&[], &["x"])), failed(Step::Execute, Errno::NOENT));
    // What is found and may not be executed says more than what is not found after it.
    assert_eq!(run(program(&["/etc/passwd", "/missing"], &["x"])), failed(Step::Execute, Errno::ACCESS));
    let folder = Program { folder: Some(string("/missing")), ..shell("exit 0") };
    assert_eq!(run(folder), failed(Step::ChangeFolder, Errno::NOENT));
    let folder = Program { folder: Some(string("/etc/passwd")), ..shell("exit 0") };
    assert_eq!(run(folder), failed(Step::ChangeFolder, Errno::NOTDIR));
    let stream = Program { streams: [Some(1_000_000), None, None], ..shell("exit 0") };
    assert_eq!(run(stream), failed(Step::Prepare, Errno::BADF));
    let group = Program { process_group: Some(i32::MAX), ..shell("exit 0") };
    assert_eq!(run(group), failed(Step::Prepare, Errno::PERM));
}

#[test]
fn a_child_has_the_descriptors_that_it_is_given_and_no_others() {
    let (kept, _end) = std::io::pipe().expect("a pipe");
    let (other, _other_end) = std::io::pipe().expect("a pipe");
    fcntl_setfd(&other, FdFlags::empty()).expect("inheritable");
    // By what the number leads to: a number that is free in the child is the next one that it takes itself.
    let open = |kept: Option<Vec<RawFd>>| {
        move |number: RawFd| {
            let here = std::fs::read_link(format!("/proc/self/fd/{number}")).expect("open here");
            let look = shell(&format!("readlink /proc/self/fd/{number} || true"));
            Some(output(Program { kept: kept.clone(), ..look }).trim_end()) == here.to_str()
        }
    };
    let is_open = open(Some(vec![kept.as_raw_fd()]));
    assert!(is_open(kept.as_raw_fd()) && !is_open(other.as_raw_fd()));
    let is_open = open(None);
    assert!(is_open(other.as_raw_fd()) && !is_open(kept.as_raw_fd()), "as they are inheritable");
}

#[test]
fn a_child_has_the_surroundings_that_are_asked_for() {
    let asked = Program { folder: Some(string("/usr")), umask: Some(0o27), new_session: true, ..shell("pwd; umask") };
    assert_eq!(output(asked), "/usr\n0027\n");
    let session = Program { new_session: true, ..shell("set -- $(cat /proc/$$/stat); [ $$ = $5 ] && [ $$ = $6 ]") };
    assert_eq!(run(session), (None, Some(0)));
    let group = Program { process_group: Some(0), ..shell("set -- $(cat /proc/$$/stat); [ $$ = $5 ] && [ $$ != $6 ]") };
    assert_eq!(run(group), (None, Some(0)));
}

#[test]
fn a_child_controls_the_terminal_that_is_its_input() {
    use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, openpt, unlockpt};
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = openpt(flags).expect("a master");
    unlockpt(&master).expect("unlocked");
    let terminal = ioctl_tiocgptpeer(&master, flags).expect("a slave");
    let child = |controlling_terminal| Program {
        streams: [Some(terminal.as_raw_fd()), None, None],
        new_session: true,
        controlling_terminal,
        ..shell("exec 2>&-; : >/dev/tty")
    };
    assert_eq!(run(child(true)), (None, Some(0)));
    let (failure, status) = run(child(false));
    assert!(failure.is_none() && status != Some(0), "a session without a terminal");
    let no_terminal = Program { new_session: true, controlling_terminal: true, ..shell("exit 0") };
    let (read, _write) = std::io::pipe().expect("a pipe");
    let no_terminal = Program { streams: [Some(read.as_raw_fd()), None, None], ..no_terminal };
    assert_eq!(run(no_terminal), failed(Step::Prepare, Errno::NOTTY));
}

#[test]
fn a_start_may_be_forgotten_at_any_time() {
    processes(|| {
        for _ in 0..20 {
            let starting = Starting::new(shell("exit 0")).expect("a child");
            let id = Pid::from_raw(starting.id());
            drop(starting);
            let (_, status) = waitpid(id, WaitOptions::empty()).expect("waited").expect("ended");
            assert_eq!(status.exit_status(), Some(0));
        }
    });
}
