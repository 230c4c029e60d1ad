//! Files on storage: opening them, and what is done to them at an offset.
//!
//! Each of these calls may wait for a disk, which no poller can tell of; they are made on the threads of a
//! [`Pool`](crate::pool::Pool). Not here: in which order they are made, which is for whoever asks for them.
//!
//! 1. A call owns what it reads into or writes from, and holds the file open until it is done (R4).
//! 2. The position that the description has, and may share with other processes, is neither used nor moved.
//! 3. A write is whole or an error. A read is whole but at the end of the file.

use std::ffi::CString;
use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, fdatasync, fstat, fsync, ftruncate, open, tell};
use rustix::io::{Errno, pread, pwrite};
use tulipa_core::Code;

use crate::descriptor::{self, Descriptor, above_stdio, borrow};
use crate::errno::{code, uninterrupted};

/// How much is asked for at a time where the size of a file is not known, in bytes.
const STEP: usize = 256 * 1024;

/// An open file.
#[derive(Debug)]
pub struct File {
    /// Gone when the file was closed.
    descriptor: RwLock<Option<Descriptor>>,
    number: RawFd,
}

impl File {
    /// A file that somebody has opened already.
    ///
    /// # Errors
    /// EBADF if the number is not open, ESPIPE if what it stands for has no offsets: a pipe, a socket, a terminal.
    pub fn adopt(descriptor: Descriptor) -> Result<Self, Code> {
        let number = descriptor.number();
        tell(borrow(number)?).map_err(code)?;
        Ok(Self { descriptor: RwLock::new(Some(descriptor)), number })
    }

    /// The number of its descriptor, while it is open.
    #[must_use]
    pub const fn number(&self) -> RawFd {
        self.number
    }

    /// Runs a call with the file kept open.
    fn with<T>(&self, call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>) -> Result<T, Code> {
        let mut call = call;
        let descriptor = self.read();
        let Some(descriptor) = descriptor.as_ref() else { return Err(code(Errno::BADF)) };
        let fd = borrow(descriptor.number())?;
        uninterrupted(|| call(fd.as_fd())).map_err(code)
    }

    fn read(&self) -> RwLockReadGuard<'_, Option<Descriptor>> {
        self.descriptor.read().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One call that may wait for a disk.
#[derive(Debug)]
pub enum Operation {
    /// Opens a file. Never waits for the other end of a pipe, which is refused with ESPIPE.
    Open {
        /// Its path.
        path: CString,
        /// `O_*`.
        flags: i32,
        /// Those of a file that is made, before the umask.
        permissions: u32,
    },
    /// Reads from an offset on.
    Read {
        /// From which file.
        file: Arc<File>,
        /// Where, in bytes.
        offset: u64,
        /// How many bytes at most; `None` for all that there are.
        size: Option<usize>,
    },
    /// Writes from an offset on; a file that was opened to append grows wherever that is.
    Write {
        /// To which file.
        file: Arc<File>,
        /// Where, in bytes.
        offset: u64,
        /// What.
        data: Data,
    },
    /// Waits until all that was written is on the storage.
    Sync {
        /// Of which file.
        file: Arc<File>,
        /// Times and permissions, too.
        metadata: bool,
    },
    /// Cuts a file off, or makes it longer by zeroes.
    Truncate {
        /// Which file.
        file: Arc<File>,
        /// Its new size in bytes.
        size: u64,
    },
    /// Asks for the size.
    Size {
        /// Of which file.
        file: Arc<File>,
    },
    /// Closes a file, once no other call holds it open.
    Close {
        /// Which file.
        file: Arc<File>,
    },
}

/// Bytes to be written, which whoever asks for that need not copy: nobody may change them, and any thread drops them.
pub struct Data(Box<dyn AsRef<[u8]> + Send + Sync>);

impl Data {
    /// These bytes.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Box::new(bytes))
    }
}

impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.as_ref().as_ref().len())
    }
}

/// What an [`Operation`] gives.
#[derive(Debug)]
pub enum Outcome {
    /// The file that was opened.
    File(Arc<File>),
    /// What was read.
    Bytes(Vec<u8>),
    /// How many bytes were written, or the file has.
    Size(u64),
    /// That it is done.
    Done,
}

impl Operation {
    /// Makes the call, which may take as long as the storage does.
    ///
    /// # Errors
    /// The system's; EBADF after the file was closed; ENOMEM if there is no memory to read into.
    pub fn perform(self) -> Result<Outcome, Code> {
        match self {
            Self::Open { path, flags, permissions } => open_file(&path, flags, permissions),
            Self::Read { file, offset, size } => read(&file, offset, size).map(Outcome::Bytes),
            Self::Write { file, offset, data } => write(&file, offset, data.0.as_ref().as_ref()).map(Outcome::Size),
            Self::Sync { file, metadata } => {
                file.with(|fd| if metadata { fsync(fd) } else { fdatasync(fd) }).map(|()| Outcome::Done)
            }
            Self::Truncate { file, size } => file.with(|fd| ftruncate(fd, size)).map(|()| Outcome::Done),
            Self::Size { file } => {
                file.with(|fd| fstat(fd)).map(|stat| Outcome::Size(u64::try_from(stat.st_size).unwrap_or(0)))
            }
            Self::Close { file } => close(&file).map(|()| Outcome::Done),
        }
    }
}

fn open_file(path: &CString, flags: i32, permissions: u32) -> Result<Outcome, Code> {
    // O_NONBLOCK means nothing to a file, and keeps the opening of a pipe from waiting.
    let flags = OFlags::from_bits_retain(flags.cast_unsigned()) | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let mode = Mode::from_bits_truncate(permissions);
    let fd = uninterrupted(|| open(path, flags, mode)).and_then(above_stdio).map_err(code)?;
    File::adopt(Descriptor::Owned(fd)).map(|file| Outcome::File(Arc::new(file)))
}

fn read(file: &File, offset: u64, size: Option<usize>) -> Result<Vec<u8>, Code> {
    let mut data = Vec::new();
    loop {
        let left = size.map_or(STEP, |size| size - data.len());
        if left == 0 {
            return Ok(data);
        }
        if data.capacity() == data.len() {
            let room = if size.is_some() { left } else { left.max(data.len()) };
            let reserved = if size.is_some() { data.try_reserve_exact(room) } else { data.try_reserve(room) };
            reserved.map_err(|_| code(Errno::NOMEM))?;
        }
        let place = offset.saturating_add(data.len() as u64);
        if file.with(|fd| pread(fd, spare_capacity(&mut data), place))? == 0 {
            return Ok(data);
        }
    }
}

fn write(file: &File, offset: u64, data: &[u8]) -> Result<u64, Code> {
    let mut written = 0;
    while written < data.len() {
        let place = offset.saturating_add(written as u64);
        match file.with(|fd| pwrite(fd, &data[written..], place))? {
            // No device does that, and waiting for another answer would be for ever.
            0 => return Err(code(Errno::IO)),
            count => written += count,
        }
    }
    Ok(written as u64)
}

fn close(file: &File) -> Result<(), Code> {
    let descriptor = file.descriptor.write().unwrap_or_else(PoisonError::into_inner).take();
    match descriptor {
        // Linux has closed it when EINTR is reported.
        Some(Descriptor::Owned(fd)) => match descriptor::close(fd) {
            Err(errno) if errno != Errno::INTR => Err(code(errno)),
            _ => Ok(()),
        },
        Some(Descriptor::Lent(_)) | None => Ok(()),
    }
}
