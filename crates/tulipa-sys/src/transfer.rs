//! Moving the bytes of one source, by its mode. Knows no poller: what a result proves about readiness is part of it.

use std::io::IoSlice;
use std::os::fd::BorrowedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{self, Errno, IoSliceMut, ReadWriteFlags};
use rustix::net::{RecvAncillaryBuffer, ReturnFlags, SendAncillaryBuffer, recv, recvmsg, send, sendmsg};

use crate::errno::uninterrupted;
use crate::socket::{RECEIVE, SEND};
use crate::source::{Kind, Mode, Source};

/// Writes to a pipe of up to this many bytes are not broken up (POSIX asks for 512 at least, Linux has a page).
const PIPE_BUF: usize = 4096;

/// Room that a terminal has when it says that it has some.
const TERMINAL_ROOM: usize = 256;

/// What a read found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The buffer is full, or this is the end: there may be more, and nobody need wait for it.
    All(usize),
    /// There was no more than this.
    Rest(usize),
    /// There may be more, and nothing that was seen so far will tell.
    Part(usize),
    /// There is more.
    More(usize),
    /// Nothing now.
    Nothing,
}

/// Reads into `into`, which is not empty.
#[inline]
pub(crate) fn read(source: &mut Source, into: &mut [u8]) -> Result<Taken, Errno> {
    let whole = into.len();
    let (result, short) = match source.mode {
        Mode::Stream => (
            uninterrupted(|| recv(source.io(), &mut *into, RECEIVE)).map(|(count, _)| count),
            if_short(source.seamless),
        ),
        Mode::Local => read_local(source, into),
        mode => read_other(source, mode, into),
    };
    match result {
        Ok(count) if count == whole || count == 0 => Ok(Taken::All(count)),
        Ok(count) => Ok(short(count)),
        Err(Errno::AGAIN) => Ok(Taken::Nothing),
        Err(errno) => Err(errno),
    }
}

/// What a short read means.
#[inline]
fn if_short(seamless: bool) -> fn(usize) -> Taken {
    if seamless { Taken::Rest } else { Taken::Part }
}

/// A read from a Unix socket stops where descriptors were passed along. They are not asked for; that there were any
/// shows as MSG_CTRUNC.
fn read_local(source: &Source, into: &mut [u8]) -> (Result<usize, Errno>, fn(usize) -> Taken) {
    let received = uninterrupted(|| {
        let mut ignored = RecvAncillaryBuffer::default();
        recvmsg(source.io(), &mut [IoSliceMut::new(&mut *into)], &mut ignored, RECEIVE)
    });
    match received {
        Ok(message) => {
            let whole = source.seamless && !message.flags.contains(ReturnFlags::CTRUNC);
            (Ok(message.bytes), if_short(whole))
        }
        Err(errno) => (Err(errno), Taken::Part),
    }
}

fn read_other(source: &mut Source, mode: Mode, into: &mut [u8]) -> (Result<usize, Errno>, fn(usize) -> Taken) {
    let whole = into.len();
    let result = match mode {
        Mode::NoWait => read_nowait(source, into),
        Mode::Private => uninterrupted(|| io::read(source.io(), &mut *into)),
        Mode::Guarded => read_guarded(source, into),
        Mode::Stream | Mode::Local | Mode::Offloaded | Mode::None => Err(Errno::INVAL),
    };
    // The other end of a pipe may have been told to make packets (O_DIRECT); a read stops after each, and nothing but
    // what is left in the pipe shows it. So is what somebody has written meanwhile.
    let short = result.is_ok_and(|count| count > 0 && count < whole);
    let more = source.seamless && short && io::ioctl_fionread(source.io()).is_ok_and(|left| left > 0);
    (result, if more { Taken::More } else { if_short(source.seamless) })
}

fn read_nowait(source: &mut Source, into: &mut [u8]) -> Result<usize, Errno> {
    let result = uninterrupted(|| {
        let into = &mut [IoSliceMut::new(&mut *into)];
        io::preadv2(source.io(), into, u64::MAX, ReadWriteFlags::NOWAIT)
    });
    if result == Err(Errno::OPNOTSUPP) {
        source.mode = Mode::Guarded;
        return read_guarded(source, into);
    }
    result
}

fn read_guarded(source: &Source, into: &mut [u8]) -> Result<usize, Errno> {
    if !is_ready(source.io(), PollFlags::IN)? {
        return Err(Errno::AGAIN);
    }
    match uninterrupted(|| io::read(source.io(), &mut *into)) {
        // The last slave is closed: Linux says EIO where others say end of file (T36).
        Err(Errno::IO) if source.kind() == Kind::PtyMaster => Ok(0),
        result => result,
    }
}

/// Writes the beginning of `from`. EAGAIN means that nothing was written.
#[inline]
pub(crate) fn write(source: &mut Source, from: &[IoSlice<'_>]) -> Result<usize, Errno> {
    match source.mode {
        Mode::Stream | Mode::Local => match from {
            [only] => uninterrupted(|| send(source.io(), only, SEND)),
            _ => uninterrupted(|| sendmsg(source.io(), from, &mut SendAncillaryBuffer::default(), SEND)),
        },
        Mode::Offloaded | Mode::None => Err(Errno::INVAL),
        _ => write_in_groups(source, from),
    }
}

/// Writes slices together as long as the kernel will not break them up, and one by one beyond that: what the program
/// wrote at once, and is no longer than PIPE_BUF, stays in one piece whoever else writes to the pipe (P2).
fn write_in_groups(source: &mut Source, from: &[IoSlice<'_>]) -> Result<usize, Errno> {
    let mut written = 0;
    let mut rest = from;
    while !rest.is_empty() {
        let (group, next) = rest.split_at(group_length(rest));
        let offered: usize = group.iter().map(|slice| slice.len()).sum();
        match write_group(source, group) {
            Ok(count) => {
                written += count;
                if count < offered {
                    break;
                }
            }
            // What is written is written; the error will be there again.
            Err(_) if written > 0 => break,
            Err(errno) => return Err(errno),
        }
        rest = next;
    }
    Ok(written)
}

/// How many slices go together: at least one.
fn group_length(slices: &[IoSlice<'_>]) -> usize {
    let mut bytes = 0;
    let fits = |slice: &&IoSlice<'_>| {
        bytes += slice.len();
        bytes <= PIPE_BUF
    };
    slices.iter().take_while(fits).count().max(1)
}

fn write_group(source: &mut Source, group: &[IoSlice<'_>]) -> Result<usize, Errno> {
    if source.mode == Mode::NoWait {
        let result = uninterrupted(|| io::pwritev2(source.io(), group, u64::MAX, ReadWriteFlags::NOWAIT));
        if result != Err(Errno::OPNOTSUPP) {
            return result;
        }
        source.mode = Mode::Guarded;
    }
    if source.mode == Mode::Private {
        return uninterrupted(|| io::writev(source.io(), group));
    }
    write_guarded(source, group)
}

fn write_guarded(source: &Source, group: &[IoSlice<'_>]) -> Result<usize, Errno> {
    if group.len() > 1 && matches!(source.kind(), Kind::Pipe | Kind::Fifo) {
        // Put together because it is no longer than PIPE_BUF.
        return write_into_room(source, group);
    }
    let mut written = 0;
    for slice in group {
        let mut rest: &[u8] = slice;
        while !rest.is_empty() {
            let (piece, next) = rest.split_at(fits_into_room(source.kind(), rest));
            match write_into_room(source, &[IoSlice::new(piece)]) {
                Ok(count) if count == piece.len() => written += count,
                Ok(count) => return Ok(written + count),
                Err(_) if written > 0 => return Ok(written),
                Err(errno) => return Err(errno),
            }
            rest = next;
        }
    }
    Ok(written)
}

/// How many of `bytes` fit for sure into what poll(2) calls room.
///
/// A pipe then has a page. A terminal has 256 bytes or nothing, and counts anew for each character that it may have to
/// edit; a run of others goes in as one.
fn fits_into_room(kind: Kind, bytes: &[u8]) -> usize {
    let edited = |byte: &u8| matches!(byte, b'\n' | b'\r' | b'\t' | b'\x08');
    match kind {
        Kind::Pipe | Kind::Fifo => bytes.len().min(PIPE_BUF),
        Kind::Terminal => bytes.iter().position(edited).unwrap_or(bytes.len()).clamp(1, TERMINAL_ROOM),
        _ => bytes.len().min(TERMINAL_ROOM),
    }
}

/// Writes no more than there is room for if there is any.
fn write_into_room(source: &Source, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    if !is_ready(source.io(), PollFlags::OUT)? {
        return Err(Errno::AGAIN);
    }
    uninterrupted(|| io::writev(source.io(), slices))
}

fn is_ready(fd: BorrowedFd<'_>, events: PollFlags) -> Result<bool, Errno> {
    let mut polled = [PollFd::from_borrowed_fd(fd, events)];
    uninterrupted(|| poll(&mut polled, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))).map(|count| count > 0)
}

#[cfg(test)]
mod tests {
    use std::io::IoSlice;

    use super::{PIPE_BUF, group_length};

    fn length(sizes: &[usize]) -> usize {
        let bytes = vec![0; PIPE_BUF * 2];
        let slices: Vec<_> = sizes.iter().map(|&size| IoSlice::new(&bytes[..size])).collect();
        group_length(&slices)
    }

    #[test]
    fn groups_are_as_long_as_the_kernel_keeps_whole() {
        assert_eq!(length(&[1]), 1);
        assert_eq!(length(&[1000, 3096, 1]), 2);
        assert_eq!(length(&[1000, 3097, 1]), 1);
        assert_eq!(length(&[PIPE_BUF]), 1);
        assert_eq!(length(&[PIPE_BUF + 1, 1]), 1, "one that is too long goes alone");
    }
}
