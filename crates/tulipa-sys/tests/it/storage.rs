//! Files: at an offset, in whole, and open until the last call is done.

use std::ffi::CString;
use std::io::{Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::io::Errno;
use tulipa_core::Code;
use tulipa_sys::Descriptor;
use tulipa_sys::storage::{Data, File, Operation, Outcome};

use crate::world::errno;

fn path(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("tulipa-storage-{name}-{}", std::process::id()))
}

fn open(path: &Path, flags: i32) -> Result<Arc<File>, Code> {
    let path = CString::new(path.as_os_str().as_bytes()).expect("no zero byte");
    match (Operation::Open { path, flags, permissions: 0o600 }).perform()? {
        Outcome::File(file) => Ok(file),
        other => panic!("{other:?}"),
    }
}

fn made(name: &str) -> Arc<File> {
    let path = path(name);
    let file = open(&path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL).expect("made");
    std::fs::remove_file(&path).expect("removed");
    file
}

fn write(file: &Arc<File>, offset: u64, data: &[u8]) -> Result<u64, Code> {
    match (Operation::Write { file: Arc::clone(file), offset, data: Data::new(data.to_vec()) }).perform()? {
        Outcome::Size(count) => Ok(count),
        other => panic!("{other:?}"),
    }
}

fn read(file: &Arc<File>, offset: u64, size: Option<usize>) -> Result<Vec<u8>, Code> {
    match (Operation::Read { file: Arc::clone(file), offset, size }).perform()? {
        Outcome::Bytes(data) => Ok(data),
        other => panic!("{other:?}"),
    }
}

fn size(file: &Arc<File>) -> u64 {
    match (Operation::Size { file: Arc::clone(file) }).perform() {
        Ok(Outcome::Size(size)) => size,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_at_an_offset_is_read_there() {
    let file = made("offsets");
    assert_eq!(write(&file, 3, b"tulip"), Ok(5));
    assert_eq!(read(&file, 3, Some(5)).as_deref(), Ok(&b"tulip"[..]));
    assert_eq!(read(&file, 0, None).as_deref(), Ok(&b"\0\0\0tulip"[..]));
    assert_eq!(read(&file, 6, Some(100)).as_deref(), Ok(&b"ip"[..]), "short at the end only");
    assert_eq!(read(&file, 100, Some(1)).as_deref(), Ok(&b""[..]));
    assert_eq!(size(&file), 8);
    for metadata in [false, true] {
        assert!(matches!((Operation::Sync { file: Arc::clone(&file), metadata }).perform(), Ok(Outcome::Done)));
    }
    assert!(matches!((Operation::Truncate { file: Arc::clone(&file), size: 4 }).perform(), Ok(Outcome::Done)));
    assert_eq!(read(&file, 0, None).as_deref(), Ok(&b"\0\0\0t"[..]));
}

#[test]
fn a_file_of_any_size_is_read_whole() {
    let file = made("whole");
    for length in [1, 256 * 1024 - 1, 256 * 1024, 256 * 1024 + 1, 3_000_000] {
        let data: Vec<u8> = (0..length).map(|n: u32| n.to_le_bytes()[0]).collect();
        assert_eq!(write(&file, 0, &data), Ok(u64::from(length)));
        assert!(read(&file, 0, None) == Ok(data), "{length}");
    }
}

#[test]
fn more_than_there_is_memory_for_is_an_error() {
    let file = made("memory");
    assert_eq!(read(&file, 0, Some(usize::MAX)), Err(errno(Errno::NOMEM)));
    assert_eq!(read(&file, u64::MAX, Some(1)), Err(errno(Errno::INVAL)), "an offset that no file has");
}

#[test]
fn a_shared_position_stays_where_it_is() {
    let path = path("position");
    std::fs::write(&path, b"tulip").expect("written");
    let mut shared = std::fs::File::options().read(true).write(true).open(&path).expect("open");
    std::fs::remove_file(&path).expect("removed");
    shared.seek(SeekFrom::Start(2)).expect("a position");
    let file = Arc::new(File::adopt(Descriptor::Lent(shared.as_raw_fd())).expect("a file"));
    assert_eq!(read(&file, 0, None).as_deref(), Ok(&b"tulip"[..]));
    write(&file, 0, b"T").expect("written");
    assert!(matches!((Operation::Close { file: Arc::clone(&file) }).perform(), Ok(Outcome::Done)));
    assert_eq!(shared.stream_position().expect("still open, as it was lent"), 2);
}

#[test]
fn what_has_no_offsets_is_no_file() {
    let (reader, _writer) = rustix::pipe::pipe().expect("a pipe");
    assert_eq!(File::adopt(Descriptor::Lent(reader.as_raw_fd())).err(), Some(errno(Errno::SPIPE)));
    assert_eq!(File::adopt(Descriptor::Lent(-1)).err(), Some(errno(Errno::BADF)));
    let fifo = path("fifo");
    let name = CString::new(fifo.as_os_str().as_bytes()).expect("no zero byte");
    rustix::fs::mknodat(rustix::fs::CWD, &name, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("a pipe");
    assert_eq!(open(&fifo, libc::O_RDONLY).err(), Some(errno(Errno::SPIPE)), "and opening it does not wait");
    std::fs::remove_file(&fifo).expect("removed");
}

#[test]
fn a_closed_file_refuses_everything() {
    let file = made("closed");
    let number = file.number();
    assert!(matches!((Operation::Close { file: Arc::clone(&file) }).perform(), Ok(Outcome::Done)));
    assert_eq!(read(&file, 0, Some(1)), Err(errno(Errno::BADF)));
    assert_eq!(write(&file, 0, b"t"), Err(errno(Errno::BADF)));
    assert!(matches!((Operation::Close { file: Arc::clone(&file) }).perform(), Ok(Outcome::Done)), "twice is allowed");
    assert!(number >= 3, "no number of the standard streams'");
}

#[test]
fn errors_are_the_systems() {
    assert_eq!(open(&path("missing"), libc::O_RDONLY).err(), Some(errno(Errno::NOENT)));
    let full = open(Path::new("/dev/full"), libc::O_WRONLY).expect("a device");
    assert_eq!(write(&full, 0, b"t"), Err(errno(Errno::NOSPC)));
    let read_only = open(Path::new("/dev/zero"), libc::O_RDONLY).expect("a device");
    assert_eq!(write(&read_only, 0, b"t"), Err(errno(Errno::BADF)));
    assert_eq!(read(&read_only, 0, Some(9)).as_deref(), Ok(&[0; 9][..]));
}
