//! Regular files and block devices: read and written on threads, because no poller can say when that would block, and a
//! slow disk must not stop the loop.
//!
//! 1. At most one read or write of a file is under way, in a buffer of the driver's, through a number of its own: the
//!    program may close its number at any time, and another file may get it.
//! 2. A file is read and written at the position of the description that was passed in, since others may share it, as
//!    in `(a; b) < f`: nothing is opened again. (io_uring does not take the lock on that position.)
//! 3. A read is begun when the loop asks for one, and it asks only for what it delivers next. If nobody wants what a
//!    read has brought, the position is moved back, provided that nobody else has moved it meanwhile.
//! 4. A write that was begun is finished, whatever becomes of its source.
//! 5. [`Offload::last_call`] makes writing wait: a loop that is closed loses nothing.
//! 6. A file that is idle costs a descriptor, and no thread or buffer.

use std::fmt;
use std::io::IoSlice;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{SeekFrom, seek, tell};
use rustix::io::{Errno, read, write};
use tulipa_core::{Completion, Inbox};

use crate::errno::uninterrupted;
use crate::pool::{Id, Limits, Pool};
use crate::waker::Waker;

/// More than a disk needs to be busy, and few enough that a dead network file system costs little.
const LIMITS: Limits = Limits { name: "tulipa-files", threads: 8, idle: Duration::from_secs(1) };

/// The most bytes that one write takes. What a program writes at once, and is no longer, stays in one piece.
const WRITE_MAX: usize = 1024 * 1024;

/// How long the end of a file's use waits for a read that is under way, so that whoever reads next finds the position
/// where it belongs. A disk that is slower than that puts it back later.
const SOON: Duration = Duration::from_millis(5);

/// How many buffers that nobody uses are kept.
const SPARE_MAX: usize = 4;

/// One file that is read or written on threads.
#[derive(Debug)]
pub(crate) struct OffloadedFile {
    fd: Arc<OwnedFd>,
    flight: Option<Flight>,
    /// What was read and not taken yet.
    arrived: Option<Landing>,
    /// How much of `arrived` was taken.
    taken: usize,
    /// What ended a write that had written something.
    fault: Option<Errno>,
}

/// A read or write that is under way.
#[derive(Debug)]
struct Flight {
    id: Id,
    operation: Operation,
    progress: Arc<Progress>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operation {
    Read,
    Write,
}

/// What a thread and the driver both know of a flight.
#[derive(Debug, Default)]
struct Progress {
    stage: Mutex<Stage>,
    landed: Condvar,
}

#[derive(Debug, Default)]
enum Stage {
    /// No thread has come to it yet.
    #[default]
    Waiting,
    UnderWay,
    /// Nobody wants what is read.
    Abandoned,
    Landed(Landing),
    /// The landing was taken.
    Over,
}

/// What came of a flight.
#[derive(Debug)]
struct Landing {
    buffer: Vec<u8>,
    /// How many bytes were read or written.
    count: usize,
    /// Why there were no more.
    fault: Option<Errno>,
    /// Where a read has left the description.
    position: Option<u64>,
}

/// What a thread has to do.
struct Job {
    fd: Arc<OwnedFd>,
    operation: Operation,
    buffer: Vec<u8>,
    progress: Arc<Progress>,
}

/// The threads of one driver, and what they have finished.
pub(crate) struct Offload {
    pool: Pool<Job, (), Completion>,
    finished: Arc<Inbox<Completion>>,
    spare: Vec<Vec<u8>>,
    /// Writes whose source was closed.
    orphans: Vec<Arc<Progress>>,
    waits: bool,
}

impl OffloadedFile {
    pub(crate) fn new(fd: OwnedFd) -> Self {
        Self { fd: Arc::new(fd), flight: None, arrived: None, taken: 0, fault: None }
    }

    /// Whether a read or write is under way, of which a report will tell.
    pub(crate) const fn is_busy(&self) -> bool {
        self.flight.is_some()
    }
}

impl fmt::Debug for Offload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Offload").finish_non_exhaustive()
    }
}

impl Offload {
    /// Without a thread. What is finished wakes the driver through `waker`.
    pub(crate) fn new(waker: Waker) -> Self {
        let finished = Arc::new(Inbox::default());
        let inbox = Arc::clone(&finished);
        let pool = Pool::new(LIMITS, Job::run, move |completion, ()| inbox.push(completion, &waker));
        Self { pool, finished, spare: Vec::new(), orphans: Vec::new(), waits: false }
    }

    /// What was finished since the last call. Tokens may be stale.
    pub(crate) fn finished(&self) -> Vec<Completion> {
        if self.finished.is_pending() { self.finished.take() } else { Vec::new() }
    }

    /// Announces a sleep of the driver's; `false` if something is finished already.
    pub(crate) fn falls_asleep(&self) -> bool {
        self.finished.falls_asleep()
    }

    /// Announces the end of a sleep.
    pub(crate) fn wakes_up(&self) {
        self.finished.wakes_up();
    }

    /// Takes what was read, or begins to read as much as fits into `into`; nothing while that goes on. `report` is made
    /// when it is over.
    pub(crate) fn read(
        &mut self,
        file: &mut OffloadedFile,
        into: &mut [u8],
        report: Completion,
    ) -> Result<Option<usize>, Errno> {
        if file.arrived.is_none() {
            let Some(flight) = &file.flight else {
                let mut buffer = self.spare.pop().unwrap_or_default();
                buffer.resize(into.len(), 0);
                self.begin(file, Operation::Read, buffer, report)?;
                return Ok(None);
            };
            let Some(landing) = flight.progress.take() else { return Ok(None) };
            file.flight = None;
            match landing.fault {
                Some(errno) => {
                    self.keep(landing.buffer);
                    return Err(errno);
                }
                None if landing.count == 0 => {
                    self.keep(landing.buffer);
                    return Ok(Some(0));
                }
                None => {
                    file.arrived = Some(landing);
                    file.taken = 0;
                }
            }
        }
        let Some(arrived) = &file.arrived else { return Ok(None) };
        let left = &arrived.buffer[file.taken..arrived.count];
        let count = left.len().min(into.len());
        into[..count].copy_from_slice(&left[..count]);
        file.taken += count;
        if count == left.len()
            && let Some(arrived) = file.arrived.take()
        {
            self.keep(arrived.buffer);
        }
        Ok(Some(count))
    }

    /// Takes the result of the write that is under way, if there is one and it is over, and begins the next with what
    /// follows in `from`; nothing if none is over. `report` is made when the next one is; if that has not
    /// [begun](OffloadedFile::is_busy), what is left to say is an error.
    pub(crate) fn write(
        &mut self,
        file: &mut OffloadedFile,
        from: &[IoSlice<'_>],
        report: Completion,
    ) -> Result<Option<usize>, Errno> {
        let mut written = 0;
        if let Some(flight) = &file.flight {
            let landing = if self.waits { flight.progress.wait() } else { flight.progress.take() };
            let Some(landing) = landing else { return Ok(None) };
            file.flight = None;
            written = landing.count;
            file.fault = landing.fault;
            self.keep(landing.buffer);
        }
        if let Some(errno) = file.fault {
            // What is written is written. The rest is asked for again, and then fails.
            return if written > 0 { Ok(Some(written)) } else { Err(errno) };
        }
        let mut buffer = self.spare.pop().unwrap_or_default();
        fill(&mut buffer, from, written);
        if buffer.is_empty() {
            self.keep(buffer);
            return Ok(Some(written));
        }
        if self.waits {
            let (count, fault) = write_all(&file.fd, &buffer);
            file.fault = fault;
            self.keep(buffer);
            written += count;
            return if written > 0 { Ok(Some(written)) } else { Err(fault.unwrap_or(Errno::IO)) };
        }
        match self.begin(file, Operation::Write, buffer, report) {
            Ok(()) => Ok((written > 0).then_some(written)),
            Err(errno) if written > 0 => {
                file.fault = Some(errno);
                Ok(Some(written))
            }
            Err(errno) => Err(errno),
        }
    }

    /// From now on a write returns when it is done.
    pub(crate) const fn last_call(&mut self) {
        self.waits = true;
    }

    /// Ends the use of a file. What was read and not taken goes back, and no report follows on a read.
    pub(crate) fn close(&mut self, file: OffloadedFile) {
        let OffloadedFile { fd, flight, arrived, taken, .. } = file;
        if let Some(Landing { buffer, count, position, .. }) = arrived {
            put_back(&fd, count - taken, position);
            self.keep(buffer);
        }
        let Some(Flight { id, operation, progress }) = flight else { return };
        match operation {
            Operation::Read => {
                self.pool.cancel(id);
                if let Some(Landing { buffer, count, position, .. }) = progress.abandon() {
                    put_back(&fd, count, position);
                    self.keep(buffer);
                }
            }
            Operation::Write => {
                self.orphans.retain(|orphan| orphan.stage().is_ahead());
                self.orphans.push(progress);
            }
        }
    }

    /// Waits for writes that were begun, and ends the threads.
    pub(crate) fn shut(&mut self) {
        for orphan in self.orphans.drain(..) {
            orphan.wait();
        }
        self.pool.close();
    }

    fn begin(
        &mut self,
        file: &mut OffloadedFile,
        operation: Operation,
        buffer: Vec<u8>,
        report: Completion,
    ) -> Result<(), Errno> {
        let progress = Arc::new(Progress::default());
        let job = Job { fd: Arc::clone(&file.fd), operation, buffer, progress: Arc::clone(&progress) };
        let refused = |(error, _)| Errno::from_io_error(&error).unwrap_or(Errno::BADF);
        let id = self.pool.ask(job, report).map_err(refused)?;
        file.flight = Some(Flight { id, operation, progress });
        Ok(())
    }

    fn keep(&mut self, buffer: Vec<u8>) {
        if self.spare.len() < SPARE_MAX {
            self.spare.push(buffer);
        }
    }
}

impl Job {
    /// On a thread of the pool.
    fn run(self) {
        let Self { fd, operation, mut buffer, progress } = self;
        if !progress.begin() {
            return;
        }
        let landing = match operation {
            Operation::Read => match uninterrupted(|| read(&fd, &mut buffer)) {
                Ok(count) => {
                    let position = if count > 0 { tell(&fd).ok() } else { None };
                    Landing { buffer, count, fault: None, position }
                }
                Err(errno) => Landing { buffer, count: 0, fault: Some(errno), position: None },
            },
            Operation::Write => {
                let (count, fault) = write_all(&fd, &buffer);
                Landing { buffer, count, fault, position: None }
            }
        };
        if let Some(Landing { count, position, .. }) = progress.land(landing)
            && operation == Operation::Read
        {
            put_back(&fd, count, position);
        }
    }
}

impl Progress {
    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `false` if nobody wants it any more.
    fn begin(&self) -> bool {
        let mut stage = self.stage();
        let wanted = matches!(*stage, Stage::Waiting);
        if wanted {
            *stage = Stage::UnderWay;
        }
        wanted
    }

    /// Comes back with the landing if nobody wants it.
    fn land(&self, landing: Landing) -> Option<Landing> {
        let mut stage = self.stage();
        if matches!(*stage, Stage::Abandoned) {
            return Some(landing);
        }
        *stage = Stage::Landed(landing);
        drop(stage);
        self.landed.notify_all();
        None
    }

    /// The landing, if there is one.
    fn take(&self) -> Option<Landing> {
        let mut stage = self.stage();
        match std::mem::replace(&mut *stage, Stage::Over) {
            Stage::Landed(landing) => Some(landing),
            other => {
                *stage = other;
                None
            }
        }
    }

    /// The landing, once there is one.
    fn wait(&self) -> Option<Landing> {
        let stage = self.stage();
        drop(self.landed.wait_while(stage, |stage| stage.is_ahead()).unwrap_or_else(PoisonError::into_inner));
        self.take()
    }

    /// The landing if there is one soon; if not, there will be none.
    fn abandon(&self) -> Option<Landing> {
        let under_way = |stage: &mut Stage| matches!(stage, Stage::UnderWay);
        let (mut stage, _) =
            self.landed.wait_timeout_while(self.stage(), SOON, under_way).unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *stage, Stage::Abandoned) {
            Stage::Landed(landing) => Some(landing),
            _ => None,
        }
    }
}

impl Stage {
    const fn is_ahead(&self) -> bool {
        matches!(self, Self::Waiting | Self::UnderWay)
    }
}

/// Copies what follows the first `skip` bytes of `from`: whole slices as long as they are not too many bytes, or the
/// beginning of one that is too long by itself.
fn fill(buffer: &mut Vec<u8>, from: &[IoSlice<'_>], skip: usize) {
    buffer.clear();
    let mut skip = skip;
    for slice in from {
        let skipped = skip.min(slice.len());
        skip -= skipped;
        let bytes = &slice[skipped..];
        if buffer.is_empty() {
            buffer.extend_from_slice(&bytes[..bytes.len().min(WRITE_MAX)]);
            if bytes.len() > WRITE_MAX {
                return;
            }
        } else if buffer.len() + bytes.len() <= WRITE_MAX {
            buffer.extend_from_slice(bytes);
        } else {
            return;
        }
    }
}

fn write_all(fd: &OwnedFd, bytes: &[u8]) -> (usize, Option<Errno>) {
    let mut written = 0;
    while written < bytes.len() {
        match uninterrupted(|| write(fd, &bytes[written..])) {
            Ok(0) => return (written, Some(Errno::IO)),
            Ok(count) => written += count,
            Err(errno) => return (written, Some(errno)),
        }
    }
    (written, None)
}

/// Moves the position of a description back over bytes that nobody got, if it is still where the read has left it.
fn put_back(fd: &OwnedFd, count: usize, position: Option<u64>) {
    let Ok(back) = i64::try_from(count) else { return };
    if back > 0 && position.is_some() && tell(fd).ok() == position {
        // What has no position, as some files below /proc, has kept nothing that could be read again.
        let _ = seek(fd, SeekFrom::Current(-back));
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{IoSlice, Read, Seek, Write};
    use std::os::fd::OwnedFd;

    use rustix::fs::{MemfdFlags, memfd_create};
    use tulipa_core::{Completion, Token};

    use super::{Offload, OffloadedFile, WRITE_MAX, fill, put_back};
    use crate::waker::Waker;

    const REPORT: Completion =
        Completion { token: Token::from_bits(1 << 32), readable: true, writable: false, hangup: false };

    fn offload() -> Offload {
        Offload::new(Waker::new().expect("an eventfd"))
    }

    fn reported(offload: &Offload) {
        while offload.finished().is_empty() {
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_slow_read_holds_up_nobody_and_reports_to_nobody_once_its_file_is_closed() {
        let mut offload = offload();
        // An empty pipe is as slow as a disk can be.
        let (slow, mut far) = std::io::pipe().expect("a pipe");
        let mut slow = OffloadedFile::new(slow.into());
        let mut buffer = [0; 10];
        assert_eq!(offload.read(&mut slow, &mut buffer, REPORT), Ok(None));
        assert_eq!(offload.read(&mut slow, &mut buffer, REPORT), Ok(None), "still nothing");
        let (quick, mut near) = std::io::pipe().expect("a pipe");
        near.write_all(b"quick").expect("written");
        let mut quick = OffloadedFile::new(quick.into());
        assert_eq!(offload.read(&mut quick, &mut buffer, REPORT), Ok(None));
        reported(&offload);
        assert_eq!(offload.read(&mut quick, &mut buffer, REPORT), Ok(Some(5)));
        offload.close(slow);
        far.write_all(b"too late").expect("written");
        near.write_all(b"again").expect("written");
        assert_eq!(offload.read(&mut quick, &mut buffer, REPORT), Ok(None));
        reported(&offload);
        assert_eq!(offload.read(&mut quick, &mut buffer, REPORT), Ok(Some(5)));
        assert!(offload.finished().is_empty());
        offload.close(quick);
        offload.shut();
    }

    #[test]
    fn more_files_than_threads_wait_their_turn() {
        let mut offload = offload();
        let mut files: Vec<_> = (0..100_u8)
            .map(|number| {
                let (reader, mut writer) = std::io::pipe().expect("a pipe");
                writer.write_all(&[number]).expect("written");
                (number, OffloadedFile::new(reader.into()))
            })
            .collect();
        let mut buffer = [0; 10];
        for (_, file) in &mut files {
            assert_eq!(offload.read(file, &mut buffer, REPORT), Ok(None));
        }
        for (number, mut file) in files {
            let count = loop {
                if let Some(count) = offload.read(&mut file, &mut buffer, REPORT).expect("read") {
                    break count;
                }
                std::thread::yield_now();
            };
            assert_eq!(&buffer[..count], [number]);
            offload.close(file);
        }
        offload.shut();
    }

    #[test]
    fn a_write_takes_whole_slices_or_the_beginning_of_a_long_one() {
        let long = vec![1; WRITE_MAX + 10];
        let filled = |slices: &[&[u8]], skip| {
            let slices: Vec<_> = slices.iter().map(|slice| IoSlice::new(slice)).collect();
            let mut buffer = vec![9; 3];
            fill(&mut buffer, &slices, skip);
            buffer.len()
        };
        assert_eq!(filled(&[b"one", b"two"], 0), 6);
        assert_eq!(filled(&[b"one", b"two"], 4), 2);
        assert_eq!(filled(&[b"one", &long], 0), 3, "the long one goes alone");
        assert_eq!(filled(&[&long, b"one"], 0), WRITE_MAX);
        assert_eq!(filled(&[&long, b"one"], WRITE_MAX), 13);
        assert_eq!(filled(&[b"one"], 3), 0);
    }

    #[test]
    fn a_position_that_somebody_else_has_moved_stays() {
        let mut file = File::from(memfd_create("tulipa-test", MemfdFlags::CLOEXEC).expect("made"));
        file.write_all(b"0123456789").expect("written");
        let shared: OwnedFd = file.try_clone().expect("another number").into();
        for (position, after) in [(Some(10), 6), (Some(3), 10), (None, 10)] {
            file.seek(std::io::SeekFrom::Start(10)).expect("moved");
            put_back(&shared, 4, position);
            assert_eq!(file.stream_position().expect("a position"), after);
        }
        let mut rest = Vec::new();
        file.read_to_end(&mut rest).expect("read");
    }
}
