//! Socket addresses: one type that fits every family, and a view of it in the terms of Python's `socket` module.
//!
//! Unsafe code is allowed here to look at an address as bytes, and to make one of bytes.
#![expect(unsafe_code, reason = "an address is a run of bytes whose length the kernel says")]

use std::fmt;
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrStorage};
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};
use tulipa_core::Code;

use crate::errno::code;

/// `AF_UNIX` as Python's `socket` module numbers it.
pub const UNIX: i32 = AddressFamily::UNIX.as_raw() as i32;
/// `AF_INET`.
pub const INET: i32 = AddressFamily::INET.as_raw() as i32;
/// `AF_INET6`.
pub const INET6: i32 = AddressFamily::INET6.as_raw() as i32;

/// The length of the family's field, which every address begins with.
const HEADER: usize = 2;

/// A socket address of any family.
#[derive(Clone, PartialEq, Eq)]
pub struct Address(SocketAddrAny);

/// What an [`Address`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// `AF_INET`.
    V4(Ipv4Addr, u16),
    /// `AF_INET6`: address, port, flow information (in host order, as Python has it) and scope.
    V6(Ipv6Addr, u16, u32, u32),
    /// `AF_UNIX`: a path without its terminator; an abstract name, which begins with a zero byte; or nothing for an
    /// unnamed socket.
    Unix(&'a [u8]),
    /// Any other family, by its number and by everything that follows the number in memory.
    Other {
        /// The family's number.
        family: i32,
        /// The rest of the address.
        raw: &'a [u8],
    },
}

impl Address {
    /// The address that an endpoint names.
    ///
    /// # Errors
    /// ENAMETOOLONG for a Unix path of more than 107 bytes, which would leave no room for its terminator, and for an
    /// abstract name of more than 108; EINVAL for a path with a zero byte inside; EAFNOSUPPORT for a family that is no
    /// 16-bit number; EINVAL for more bytes than any address has.
    pub fn new(endpoint: &Endpoint<'_>) -> Result<Self, Code> {
        let any = match *endpoint {
            Endpoint::V4(ip, port) => SocketAddrV4::new(ip, port).as_any(),
            Endpoint::V6(ip, port, flow, scope) => SocketAddrV6::new(ip, port, flow, scope).as_any(),
            Endpoint::Unix(name) => unix(name).map_err(code)?.as_any(),
            Endpoint::Other { family, raw } => return Self::from_raw(family, raw),
        };
        Ok(Self(any))
    }

    /// An unnamed Unix address, which is what the kernel means when it gives no address.
    pub(crate) fn unnamed() -> Self {
        Self(SocketAddrUnix::new_unnamed().as_any())
    }

    fn from_raw(family: i32, raw: &[u8]) -> Result<Self, Code> {
        let family = u16::try_from(family).map_err(|_| code(Errno::AFNOSUPPORT))?;
        if HEADER + raw.len() > size_of::<SocketAddrStorage>() {
            return Err(code(Errno::INVAL));
        }
        let mut bytes = [0; size_of::<SocketAddrStorage>()];
        bytes[..HEADER].copy_from_slice(&family.to_ne_bytes());
        bytes[HEADER..HEADER + raw.len()].copy_from_slice(raw);
        let mut storage = MaybeUninit::<SocketAddrStorage>::zeroed();
        #[expect(clippy::cast_possible_truncation, reason = "no longer than the storage")]
        let length = (HEADER + raw.len()) as u32;
        // SAFETY: `storage` has exactly as many bytes as are copied into it, all of them are initialized, and `length`
        // lies between the header's length and theirs.
        let any = unsafe {
            storage.as_mut_ptr().cast::<[u8; size_of::<SocketAddrStorage>()]>().write(bytes);
            SocketAddrAny::new(storage, length)
        };
        Ok(Self(any))
    }

    /// The family's number, as Python's `socket` module has it.
    #[must_use]
    pub fn family(&self) -> i32 {
        i32::from(self.0.address_family().as_raw())
    }

    /// What the address says.
    #[must_use]
    pub fn endpoint(&self) -> Endpoint<'_> {
        let raw = self.bytes().get(HEADER..).unwrap_or_default();
        let family = self.family();
        match family {
            INET => v4(raw),
            INET6 => v6(raw),
            UNIX => Some(Endpoint::Unix(unix_name(raw))),
            _ => None,
        }
        .unwrap_or(Endpoint::Other { family, raw })
    }

    pub(crate) const fn any(&self) -> &SocketAddrAny {
        &self.0
    }

    /// The address that lies in memory so, the family's number first; see [`Address::bytes`].
    ///
    /// # Errors
    /// EINVAL for fewer bytes than a family's number has, or more than any address.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Code> {
        let (family, raw) = bytes.split_first_chunk::<HEADER>().ok_or_else(|| code(Errno::INVAL))?;
        Self::from_raw(i32::from(u16::from_ne_bytes(*family)), raw)
    }

    /// Whether the address is one of IPv4 or IPv6.
    #[must_use]
    pub fn is_internet(&self) -> bool {
        matches!(self.family(), INET | INET6)
    }

    /// The address as it lies in memory, the family's number first.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the first `addr_len` bytes behind the pointer are initialized; they live and stay as they are for as
        // long as `self` is borrowed.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.addr_len() as usize) }
    }
}

impl From<SocketAddrAny> for Address {
    fn from(any: SocketAddrAny) -> Self {
        Self(any)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.endpoint().fmt(f)
    }
}

fn v4(raw: &[u8]) -> Option<Endpoint<'static>> {
    let (port, rest) = raw.split_first_chunk::<2>()?;
    let (ip, _) = rest.split_first_chunk::<4>()?;
    Some(Endpoint::V4(Ipv4Addr::from(*ip), u16::from_be_bytes(*port)))
}

fn v6(raw: &[u8]) -> Option<Endpoint<'static>> {
    let (port, rest) = raw.split_first_chunk::<2>()?;
    let (flow, rest) = rest.split_first_chunk::<4>()?;
    let (ip, rest) = rest.split_first_chunk::<16>()?;
    let (scope, _) = rest.split_first_chunk::<4>()?;
    let (flow, scope) = (u32::from_be_bytes(*flow), u32::from_ne_bytes(*scope));
    Some(Endpoint::V6(Ipv6Addr::from(*ip), u16::from_be_bytes(*port), flow, scope))
}

/// A path ends before its terminator; an abstract name has none, and may have zero bytes anywhere.
fn unix_name(raw: &[u8]) -> &[u8] {
    match raw {
        [] | [0, ..] => raw,
        path => path.split(|&byte| byte == 0).next().unwrap_or_default(),
    }
}

fn unix(name: &[u8]) -> Result<SocketAddrUnix, Errno> {
    /// `sizeof(sun_path)`.
    const ROOM: usize = 108;
    match name {
        [] => Ok(SocketAddrUnix::new_unnamed()),
        [0, name @ ..] => SocketAddrUnix::new_abstract_name(name),
        // The kernel would take a path without its terminator; Python refuses it, and so would most who read it back.
        path if path.len() >= ROOM => Err(Errno::NAMETOOLONG),
        path => SocketAddrUnix::new(path),
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use rustix::io::Errno;

    use super::{Address, Endpoint};
    use crate::errno::code;

    #[track_caller]
    fn comes_back(endpoint: Endpoint<'_>, family: i32) {
        let address = Address::new(&endpoint).expect("a good address");
        assert_eq!(address.endpoint(), endpoint);
        assert_eq!(address.family(), family);
        assert_eq!(address, address.clone());
        assert_eq!(Address::from_bytes(address.bytes()).expect("its own bytes"), address);
    }

    #[test]
    fn every_endpoint_comes_back_as_it_was() {
        comes_back(Endpoint::V4(Ipv4Addr::LOCALHOST, 80), 2);
        comes_back(Endpoint::V4(Ipv4Addr::BROADCAST, u16::MAX), 2);
        comes_back(Endpoint::V6(Ipv6Addr::LOCALHOST, 443, 0x000a_bcde, 7), 10);
        comes_back(Endpoint::V6(Ipv6Addr::UNSPECIFIED, 0, 0, 0), 10);
        comes_back(Endpoint::Unix(b""), 1);
        comes_back(Endpoint::Unix(b"/tmp/socket"), 1);
        comes_back(Endpoint::Unix(&[b'x'; 107]), 1);
        comes_back(Endpoint::Unix(b"\0abstract\0name\0"), 1);
        comes_back(Endpoint::Unix(b"\0"), 1);
        comes_back(Endpoint::Unix(&[0; 108]), 1);
        comes_back(Endpoint::Other { family: 16, raw: &[0, 0, 1, 2, 3, 4, 0, 0, 0, 0] }, 16);
        comes_back(Endpoint::Other { family: 40, raw: &[7; 126] }, 40);
    }

    #[test]
    fn impossible_addresses_are_refused() {
        for (endpoint, errno) in [
            (Endpoint::Unix(&[b'x'; 108]), Errno::NAMETOOLONG),
            (Endpoint::Unix(&[0; 109]), Errno::NAMETOOLONG),
            (Endpoint::Unix(b"a\0b"), Errno::INVAL),
            (Endpoint::Other { family: -1, raw: &[] }, Errno::AFNOSUPPORT),
            (Endpoint::Other { family: 1 << 16, raw: &[] }, Errno::AFNOSUPPORT),
            (Endpoint::Other { family: 40, raw: &[7; 127] }, Errno::INVAL),
        ] {
            assert_eq!(Address::new(&endpoint).err(), Some(code(errno)), "{endpoint:?}");
        }
    }

    #[test]
    fn a_truncated_address_is_shown_raw() {
        let address = Address::new(&Endpoint::Other { family: 2, raw: &[0, 80, 127] }).expect("short, but an address");
        assert_eq!(address.endpoint(), Endpoint::Other { family: 2, raw: &[0, 80, 127] });
    }
}
