//! Level-triggered reports on descriptors that are always ready, such as a regular file: `select` would report them at
//! once, each time it is asked.
//!
//! 1. Each is reported in every turn, and the loop does not sleep meanwhile, as long as somebody makes use of it.
//! 2. Whether somebody does, the file shows: its position, its size or its time of change is another one than at the
//!    last report. After some turns without that, at the end of a file for example, the reports come in growing pauses,
//!    up to [`PAUSE_MAX`]; the first change ends them.
//! 3. A device shows nothing of the kind, and may well be in use: its pauses stay short. `/dev/null` has nothing to
//!    give, and counts as a file that is at its end.

use std::collections::VecDeque;
use std::os::fd::RawFd;

use rustix::fs::{FileType, fstat, major, minor, tell};
use slab::Slab;
use tulipa_core::Completion;

use crate::clock::now_nanos;
use crate::descriptor::borrow;

/// How many reports in a row may change nothing before they come in pauses.
const VAIN_MAX: u32 = 16;

/// The first pause, in nanoseconds; each is twice as long as the one before.
const PAUSE_FIRST: i64 = 1_000_000;

/// The longest pause between two reports on a file.
const PAUSE_MAX: i64 = 32_000_000;

/// The longest on a device.
const PAUSE_DEVICE_MAX: i64 = PAUSE_FIRST;

/// What is always ready, and when it is reported next.
#[derive(Debug, Default)]
pub(super) struct Standing {
    entries: Slab<Entry>,
}

#[derive(Debug)]
struct Entry {
    number: RawFd,
    report: Completion,
    seen: Option<Mark>,
    /// How many reports have changed nothing.
    vain: u32,
    /// When the next report is due, by the monotonic clock in nanoseconds.
    due: i64,
    /// The number was closed, which was reported.
    ended: bool,
}

/// What changes when somebody makes use of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    position: Option<u64>,
    size: i64,
    changed: (i64, u64),
    pause_max: i64,
}

impl Standing {
    pub(super) const fn new() -> Self {
        Self { entries: Slab::new() }
    }

    /// Reports `report` from now on.
    pub(super) fn insert(&mut self, number: RawFd, report: Completion) -> usize {
        self.entries.insert(Entry { number, report, seen: None, vain: 0, due: i64::MIN, ended: false })
    }

    pub(super) fn remove(&mut self, key: usize) {
        self.entries.try_remove(key);
    }

    /// Adds the reports that are due.
    pub(super) fn report(&mut self, reports: &mut VecDeque<Completion>) {
        if self.entries.is_empty() {
            return;
        }
        let now = now_nanos();
        for (_, entry) in self.entries.iter_mut().filter(|(_, entry)| !entry.ended && entry.due <= now) {
            let seen = Mark::of(entry.number);
            entry.ended = seen.is_none();
            entry.vain = if seen == entry.seen { entry.vain.saturating_add(1) } else { 0 };
            entry.seen = seen;
            entry.due = now + seen.map_or(0, |mark| mark.pause(entry.vain));
            reports.push_back(Completion { hangup: entry.ended, ..entry.report });
        }
    }

    /// How long it is until the next report, in seconds; nothing if there will be none.
    pub(super) fn pause(&self) -> Option<f64> {
        let next = self.entries.iter().filter(|(_, entry)| !entry.ended).map(|(_, entry)| entry.due).min()?;
        #[expect(clippy::cast_precision_loss, reason = "some milliseconds at most")]
        let pause = next.saturating_sub(now_nanos()).max(0) as f64 / 1e9;
        Some(pause)
    }
}

impl Mark {
    /// Of the file behind a number; nothing if it is not open.
    fn of(number: RawFd) -> Option<Self> {
        let fd = borrow(number).ok()?;
        let stat = fstat(fd).ok()?;
        let device = FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice;
        let null = (major(stat.st_rdev), minor(stat.st_rdev)) == (1, 3);
        Some(Self {
            position: tell(fd).ok(),
            size: stat.st_size,
            changed: (stat.st_mtime, stat.st_mtime_nsec),
            pause_max: if device && !null { PAUSE_DEVICE_MAX } else { PAUSE_MAX },
        })
    }

    /// How long to pause after so many reports in vain, in nanoseconds.
    fn pause(&self, vain: u32) -> i64 {
        match vain.checked_sub(VAIN_MAX) {
            Some(beyond) => (PAUSE_FIRST << beyond.min(16)).min(self.pause_max),
            None => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::io::{Read, Write};
    use std::os::fd::AsRawFd;

    use tulipa_core::{Completion, Token};

    use super::{PAUSE_MAX, Standing, VAIN_MAX};

    const REPORT: Completion =
        Completion { token: Token::from_bits(1 << 32), readable: true, writable: false, hangup: false };

    /// Reports as often as it may, without waiting; how often something came, of so many turns.
    fn turns(standing: &mut Standing, turns: u32, mut each: impl FnMut()) -> usize {
        (0..turns)
            .map(|_| {
                let mut reports = VecDeque::new();
                standing.report(&mut reports);
                if !reports.is_empty() {
                    each();
                }
                reports.len()
            })
            .sum()
    }

    fn file() -> std::fs::File {
        let path = std::env::temp_dir().join(format!("tulipa-standing-{}", std::process::id()));
        let file = std::fs::File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let _ = std::fs::remove_file(path);
        file.expect("opened")
    }

    #[test]
    fn a_file_that_is_read_is_reported_in_every_turn() {
        let mut zero = file();
        zero.set_len(1000).expect("made longer");
        let mut standing = Standing::new();
        standing.insert(zero.as_raw_fd(), REPORT);
        let reported = turns(&mut standing, 500, || zero.read_exact(&mut [0]).expect("a byte"));
        assert_eq!(reported, 500);
        assert!(standing.pause().is_some_and(|pause| pause == 0.0));
    }

    #[test]
    fn reports_that_change_nothing_come_in_growing_pauses_until_something_changes() {
        let mut file = file();
        let mut standing = Standing::new();
        let key = standing.insert(file.as_raw_fd(), REPORT);
        // The first has nothing to be compared with.
        assert_eq!(turns(&mut standing, 1 + VAIN_MAX, || {}), 1 + VAIN_MAX as usize);
        assert!(standing.pause().is_some_and(|pause| pause > 0.0));
        for _ in 0..40 {
            standing.entries[key].due = 0;
            assert_eq!(turns(&mut standing, 1, || {}), 1);
        }
        assert!(standing.pause().is_some_and(|pause| pause > 0.02 && pause * 1e9 <= PAUSE_MAX as f64));
        file.write_all(b"more").expect("written");
        standing.entries[key].due = 0;
        assert_eq!(turns(&mut standing, 1 + VAIN_MAX, || {}), 1 + VAIN_MAX as usize, "it was put to use");
        standing.remove(key);
        assert_eq!(standing.pause(), None);
    }

    #[test]
    fn a_closed_number_is_reported_once_with_its_end() {
        let file = file();
        let mut standing = Standing::new();
        standing.insert(file.as_raw_fd(), REPORT);
        drop(file);
        let mut reports = VecDeque::new();
        standing.report(&mut reports);
        standing.report(&mut reports);
        assert_eq!(reports, [Completion { hangup: true, ..REPORT }]);
        assert_eq!(standing.pause(), None);
    }
}
