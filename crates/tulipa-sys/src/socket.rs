//! Single operations on a socket that somebody else owns: what `loop.sock_*` tries before it waits, and what a
//! transport asks once. None of them blocks on a socket that is non-blocking, and none but [`connect`] on any.

use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};

use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};
use tulipa_core::{Attempt, Code};

use crate::address::Address;
use crate::descriptor::borrow;
use crate::errno::{attempt, code, uninterrupted};

/// Never waits, whatever the socket's own mode, and never raises SIGPIPE.
pub(crate) const SEND: SendFlags = SendFlags::DONTWAIT.union(SendFlags::NOSIGNAL);
/// Never waits, whatever the socket's own mode.
pub(crate) const RECEIVE: RecvFlags = RecvFlags::DONTWAIT;

/// Receives into `buffer`; 0 is the end of a stream.
///
/// # Errors
/// As recv(2).
pub fn recv(socket: RawFd, buffer: &mut [u8]) -> Result<Attempt<usize>, Code> {
    let socket = borrow(socket)?;
    attempt(|| net::recv(socket, &mut *buffer, RECEIVE).map(|(count, _)| count))
}

/// Receives a datagram into `buffer`, and whose it is. A datagram longer than the buffer is cut.
///
/// # Errors
/// As recvfrom(2).
pub fn recv_from(socket: RawFd, buffer: &mut [u8]) -> Result<Attempt<(usize, Option<Address>)>, Code> {
    let socket = borrow(socket)?;
    attempt(|| {
        let (count, _, sender) = net::recvfrom(socket, &mut *buffer, RECEIVE)?;
        Ok((count, sender.map(Address::from)))
    })
}

/// Sends the beginning of `bytes`, as much as there is room for.
///
/// # Errors
/// As send(2).
pub fn send(socket: RawFd, bytes: &[u8]) -> Result<Attempt<usize>, Code> {
    let socket = borrow(socket)?;
    attempt(|| net::send(socket, bytes, SEND))
}

/// Sends a datagram.
///
/// # Errors
/// As sendto(2).
pub fn send_to(socket: RawFd, datagram: &[u8], to: &Address) -> Result<Attempt<usize>, Code> {
    let socket = borrow(socket)?;
    attempt(|| net::sendto(socket, datagram, SEND, to.any()))
}

/// A new stream socket: non-blocking, not inherited by other programs, and with TCP_NODELAY if it is TCP.
///
/// # Errors
/// As socket(2) and setsockopt(2); EAFNOSUPPORT and EPROTONOSUPPORT also for numbers that are no family's and no protocol's.
pub fn stream(family: i32, protocol: i32) -> Result<OwnedFd, Code> {
    let family = u16::try_from(family).map_err(|_| code(Errno::AFNOSUPPORT))?;
    let protocol = u32::try_from(protocol).map_err(|_| code(Errno::PROTONOSUPPORT))?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let protocol = NonZeroU32::new(protocol).map(Protocol::from_raw);
    let socket =
        net::socket_with(AddressFamily::from_raw(family), SocketType::STREAM, flags, protocol).map_err(code)?;
    if family != AddressFamily::UNIX.as_raw() {
        no_delay(socket.as_fd())?;
    }
    Ok(socket)
}

/// Begins to connect, or asks how far that is. After [`Attempt::Pending`] the socket becomes writable when it is decided,
/// and [`error`], or another call of this, tells how.
///
/// # Errors
/// As connect(2). EAGAIN, which Unix sockets give when the listener's queue is full, is an error: nothing is under way
/// that one could wait for.
pub fn connect(socket: RawFd, to: &Address) -> Result<Attempt<()>, Code> {
    match net::connect(borrow(socket)?, to.any()) {
        // Some systems say so of what came to its end since the last call.
        Ok(()) | Err(Errno::ISCONN) => Ok(Attempt::Done(())),
        // A signal does not end the attempt: it goes on as if the socket had been non-blocking.
        Err(Errno::INPROGRESS | Errno::INTR | Errno::ALREADY) => Ok(Attempt::Pending),
        Err(errno) => Err(code(errno)),
    }
}

/// Takes the socket's pending error.
///
/// # Errors
/// As getsockopt(2): the descriptor is no socket.
pub fn error(socket: RawFd) -> Result<Option<Code>, Code> {
    let pending = net::sockopt::socket_error(borrow(socket)?).map_err(code)?;
    Ok(pending.err().map(code))
}

/// Accepts a connection: non-blocking, not inherited by other programs.
///
/// # Errors
/// As accept(2).
pub fn accept(listener: RawFd) -> Result<Attempt<(OwnedFd, Address)>, Code> {
    accept_from(borrow(listener)?)
}

#[inline]
pub(crate) fn accept_from(listener: impl std::os::fd::AsFd) -> Result<Attempt<(OwnedFd, Address)>, Code> {
    loop {
        let listener = listener.as_fd();
        match attempt(|| net::acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC)) {
            Ok(Attempt::Done((socket, peer))) => {
                return Ok(Attempt::Done((socket, peer.map_or_else(Address::unnamed, Address::from))));
            }
            Ok(Attempt::Pending) => return Ok(Attempt::Pending),
            // The peer has left the queue before its turn came; the next one may still be there.
            Err(gone) if gone == code(Errno::CONNABORTED) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The address that the socket is bound to.
///
/// # Errors
/// As getsockname(2).
pub fn local_address(socket: RawFd) -> Result<Address, Code> {
    net::getsockname(borrow(socket)?).map(Address::from).map_err(code)
}

/// The address that the socket is connected to.
///
/// # Errors
/// As getpeername(2), ENOTCONN above all.
pub fn peer_address(socket: RawFd) -> Result<Address, Code> {
    let peer = net::getpeername(borrow(socket)?).map_err(code)?;
    Ok(peer.map_or_else(Address::unnamed, Address::from))
}

/// Sets TCP_NODELAY if this is a stream socket of an internet family, whatever protocol number it was made with (T32).
/// Says whether it was. Connections inherit the option from their listener.
///
/// # Errors
/// As getsockopt(2) and setsockopt(2). A stream of these families that is not TCP does not know the option, and that is
/// no error.
pub fn set_nodelay(socket: RawFd) -> Result<bool, Code> {
    let fd = borrow(socket)?;
    let internet = matches!(family(socket)?, crate::address::INET | crate::address::INET6);
    if !internet || kind(socket)? != STREAM {
        return Ok(false);
    }
    no_delay(fd)
}

fn no_delay(socket: BorrowedFd<'_>) -> Result<bool, Code> {
    match net::sockopt::set_tcp_nodelay(socket, true) {
        Ok(()) => Ok(true),
        Err(Errno::NOPROTOOPT | Errno::OPNOTSUPP) => Ok(false),
        Err(errno) => Err(code(errno)),
    }
}

/// The address family's number, as Python's `socket` module has it.
///
/// # Errors
/// ENOTSOCK if the descriptor is no socket; EBADF if it is nothing.
pub fn family(socket: RawFd) -> Result<i32, Code> {
    net::sockopt::socket_domain(borrow(socket)?).map(|family| i32::from(family.as_raw())).map_err(code)
}

/// The number of a stream socket's type.
pub const STREAM: i32 = SocketType::STREAM.as_raw().cast_signed();
/// The number of a datagram socket's type.
pub const DATAGRAM: i32 = SocketType::DGRAM.as_raw().cast_signed();

/// The type's number, as Python's `socket` module has it.
///
/// # Errors
/// As [`family`].
pub fn kind(socket: RawFd) -> Result<i32, Code> {
    net::sockopt::socket_type(borrow(socket)?).map(|kind| kind.as_raw().cast_signed()).map_err(code)
}

/// The socket's number in the kernel, which all descriptors of it have in common, copies made by `dup` included. `None`
/// for what is no socket, and for a number that is not open.
#[must_use]
pub fn inode(number: RawFd) -> Option<u64> {
    let stat = fstat(borrow(number).ok()?).ok()?;
    (FileType::from_raw_mode(stat.st_mode) == FileType::Socket).then_some(stat.st_ino)
}

/// Tells the peer that no more bytes will follow.
///
/// # Errors
/// As shutdown(2).
pub fn shutdown_write(socket: RawFd) -> Result<(), Code> {
    let socket = borrow(socket)?;
    uninterrupted(|| net::shutdown(socket, net::Shutdown::Write)).map_err(code)
}

/// Whether a family's number means Unix sockets.
pub(crate) fn is_unix(family: i32) -> bool {
    family == i32::from(AddressFamily::UNIX.as_raw())
}
