//! `getaddrinfo` and `getnameinfo`, with owned values on both sides.
//!
//! Unsafe code is allowed here because no crate that is kept up offers these calls whole: `rustix` makes system calls
//! only, and `dns-lookup` takes no names that are not UTF-8 and turns the C library's error numbers into text.
#![expect(unsafe_code, reason = "the C library takes and gives raw pointers")]

use std::ffi::{CStr, c_char};
use std::ptr;

use tulipa_core::Code;

use super::{Entry, Failure};
use crate::address::{Address, Endpoint};

/// Enough for every answer of `getnameinfo`: `NI_MAXHOST`, and more than `NI_MAXSERV`, as `<netdb.h>` has them.
const HOST_MAX: usize = 1025;
const SERVICE_MAX: usize = 32;

/// The length of the family's field, which every address begins with.
const HEADER: usize = 2;

/// The hints of `getaddrinfo`.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub(super) family: i32,
    pub(super) kind: i32,
    pub(super) protocol: i32,
    pub(super) flags: i32,
}

/// The list that `getaddrinfo` made, freed at the end.
struct List(*mut libc::addrinfo);

impl List {
    fn look_up(host: Option<&CStr>, service: Option<&CStr>, wanted: Wanted) -> Result<Self, Failure> {
        let hints = libc::addrinfo {
            ai_flags: wanted.flags,
            ai_family: wanted.family,
            ai_socktype: wanted.kind,
            ai_protocol: wanted.protocol,
            ai_addrlen: 0,
            ai_addr: ptr::null_mut(),
            ai_canonname: ptr::null_mut(),
            ai_next: ptr::null_mut(),
        };
        let pointer = |text: Option<&CStr>| text.map_or(ptr::null(), CStr::as_ptr);
        let mut list = ptr::null_mut();
        // SAFETY: both texts are null or end with a zero byte, the hints are whole with the pointers that must be null
        // being so, and all live until the call returns, which keeps none of them.
        let code = unsafe { libc::getaddrinfo(pointer(host), pointer(service), &raw const hints, &raw mut list) };
        if code == 0 { Ok(Self(list)) } else { Err(failure(code)) }
    }

    fn iter(&self) -> impl Iterator<Item = &libc::addrinfo> {
        // SAFETY: `getaddrinfo` succeeded, so each pointer is null or leads to a node that lives until the list is
        // freed, which the borrow of `self` outlasts.
        let node = |pointer: *mut libc::addrinfo| unsafe { pointer.as_ref() };
        std::iter::successors(node(self.0), move |entry| node(entry.ai_next))
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if !self.0.is_null() {
            // SAFETY: made by `getaddrinfo` and freed here only.
            unsafe { libc::freeaddrinfo(self.0) }
        }
    }
}

/// What `getaddrinfo` answers.
pub(super) fn addresses(host: Option<&CStr>, service: Option<&CStr>, wanted: Wanted) -> Result<Vec<Entry>, Failure> {
    List::look_up(host, service, wanted)?.iter().map(entry).collect()
}

fn entry(found: &libc::addrinfo) -> Result<Entry, Failure> {
    let canonical = if found.ai_canonname.is_null() {
        Vec::new()
    } else {
        // SAFETY: not null, so a text that ends with a zero byte and lives as long as its list.
        unsafe { CStr::from_ptr(found.ai_canonname) }.to_bytes().to_vec()
    };
    let raw: &[u8] = if found.ai_addr.is_null() {
        &[]
    } else {
        // SAFETY: not null, so `ai_addrlen` bytes of an address that lives as long as its list.
        unsafe { std::slice::from_raw_parts(found.ai_addr.cast(), found.ai_addrlen as usize) }
    };
    let endpoint = Endpoint::Other { family: found.ai_family, raw: raw.get(HEADER..).unwrap_or_default() };
    Ok(Entry {
        family: found.ai_family,
        kind: found.ai_socktype,
        protocol: found.ai_protocol,
        canonical,
        address: Address::new(&endpoint).map_err(Failure::System)?,
    })
}

/// What `getnameinfo` answers for a literal address: host and service.
pub(super) fn name(host: &CStr, port: &CStr, flow: u32, scope: u32, flags: i32) -> Result<(Vec<u8>, Vec<u8>), Failure> {
    // As Python asks: datagrams, because with them every number is the number of a port.
    let wanted = Wanted { family: 0, kind: libc::SOCK_DGRAM, protocol: 0, flags: libc::AI_NUMERICHOST };
    let list = List::look_up(Some(host), Some(port), wanted)?;
    let Some(found) = list.iter().next() else { return Err(Failure::Lookup(libc::EAI_NONAME)) };
    let mut address = entry(found)?.address;
    if let Endpoint::V6(ip, port, _, _) = address.endpoint() {
        address = Address::new(&Endpoint::V6(ip, port, flow, scope)).map_err(Failure::System)?;
    }
    let mut host = [0_u8; HOST_MAX];
    let mut service = [0_u8; SERVICE_MAX];
    let raw = address.bytes();
    // SAFETY: the three pointers lead to as many bytes as the lengths behind them say, which outlive the call.
    #[expect(clippy::cast_possible_truncation, reason = "all three lengths are small")]
    let code = unsafe {
        libc::getnameinfo(
            raw.as_ptr().cast(),
            raw.len() as libc::socklen_t,
            host.as_mut_ptr().cast::<c_char>(),
            host.len() as libc::socklen_t,
            service.as_mut_ptr().cast::<c_char>(),
            service.len() as libc::socklen_t,
            flags,
        )
    };
    let text = |bytes: &[u8]| bytes.split(|&byte| byte == 0).next().unwrap_or_default().to_vec();
    if code == 0 { Ok((text(&host), text(&service))) } else { Err(failure(code)) }
}

/// The error of a call that has just failed on this thread.
fn failure(code: i32) -> Failure {
    if code != libc::EAI_SYSTEM {
        return Failure::Lookup(code);
    }
    Failure::System(Code(std::io::Error::last_os_error().raw_os_error().unwrap_or_default()))
}

/// The C library's text for an `EAI_*` number, in the language of the process.
#[must_use]
pub fn explain(code: i32) -> Vec<u8> {
    // SAFETY: takes any number.
    let text = unsafe { libc::gai_strerror(code) };
    if text.is_null() {
        return Vec::new();
    }
    // SAFETY: not null, so a text of the C library's own, which never goes away and ends with a zero byte.
    unsafe { CStr::from_ptr(text) }.to_bytes().to_vec()
}
