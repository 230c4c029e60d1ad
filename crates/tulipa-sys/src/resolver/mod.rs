//! Names and addresses: what the C library's `getaddrinfo` and `getnameinfo` answer. They block: see [`pool`](crate::pool).
//!
//! | file | subject |
//! |---|---|
//! | this one | a question, and which questions are answered without waiting |
//! | `c_library` | asking the C library |
//!
//! The C library is asked and nothing else: `/etc/hosts`, `nsswitch.conf` and whatever an administrator has plugged in
//! there decide, as they do for every other program.

mod c_library;

use std::ffi::CString;
use std::net::{Ipv4Addr, Ipv6Addr};

use tulipa_core::Code;

pub use c_library::explain;

use crate::address::Address;

/// A call of `getaddrinfo` or `getnameinfo`. Two that are equal have the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Question {
    /// `getaddrinfo`.
    Addresses {
        /// A name or a literal address; `None` for this machine.
        host: Option<CString>,
        /// A service's name or a port's number.
        service: Option<CString>,
        /// `AF_*`, or 0 for any.
        family: i32,
        /// `SOCK_*`, or 0 for any.
        kind: i32,
        /// `IPPROTO_*`, or 0 for any.
        protocol: i32,
        /// `AI_*`.
        flags: i32,
    },
    /// `getnameinfo`.
    Name {
        /// A literal address.
        host: CString,
        /// A port's number, in decimal digits.
        port: CString,
        /// Flow information of a version 6 address, in host order.
        flow: u32,
        /// The zone of a version 6 address.
        scope: u32,
        /// `NI_*`.
        flags: i32,
    },
}

/// One entry of `getaddrinfo`'s list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// `AF_*`.
    pub family: i32,
    /// `SOCK_*`.
    pub kind: i32,
    /// `IPPROTO_*`.
    pub protocol: i32,
    /// The canonical name, with the first entry and if it was asked for; else empty.
    pub canonical: Vec<u8>,
    /// Where to connect to, or what to bind.
    pub address: Address,
}

/// What a question is answered with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// To [`Question::Addresses`].
    Addresses(Vec<Entry>),
    /// To [`Question::Name`].
    Name {
        /// The host's name, or its address as text.
        host: Vec<u8>,
        /// The service's name, or its port.
        service: Vec<u8>,
    },
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// `EAI_*`; [`explain`] has its text.
    Lookup(i32),
    /// The system's own error, where the C library says `EAI_SYSTEM`.
    System(Code),
}

/// The most digits of a port that is surely a number to the C library too. More of them may overflow there, and what
/// then looks negative is looked up as a name.
const PORT_DIGITS: usize = 5;

/// Flags that change what is answered and never make the C library wait; those for names in other scripts, which load
/// a library, are not among them.
const PLAIN_FLAGS: i32 = libc::AI_PASSIVE
    | libc::AI_CANONNAME
    | libc::AI_NUMERICHOST
    | libc::AI_NUMERICSERV
    | libc::AI_V4MAPPED
    | libc::AI_ALL
    | libc::AI_ADDRCONFIG;

impl Question {
    /// Asks the C library, which may take as long as a name server takes to be given up.
    ///
    /// # Errors
    /// The C library's.
    pub fn ask(&self) -> Result<Answer, Failure> {
        match self {
            Self::Addresses { host, service, family, kind, protocol, flags } => {
                let wanted = c_library::Wanted { family: *family, kind: *kind, protocol: *protocol, flags: *flags };
                c_library::addresses(host.as_deref(), service.as_deref(), wanted).map(Answer::Addresses)
            }
            Self::Name { host, port, flow, scope, flags } => {
                c_library::name(host, port, *flow, *scope, *flags).map(|(host, service)| Answer::Name { host, service })
            }
        }
    }

    /// Whether [`ask`](Self::ask) has nothing to look up: no name of a host, which a name server might be asked for, and
    /// no name of a service, which is read from files. When in doubt the answer is no.
    #[must_use]
    pub fn is_immediate(&self) -> bool {
        match self {
            Self::Addresses { host, service, flags, .. } => {
                flags & !PLAIN_FLAGS == 0
                    && (flags & libc::AI_NUMERICHOST != 0
                        || host.as_ref().is_none_or(|host| is_literal(host.as_bytes())))
                    && (flags & libc::AI_NUMERICSERV != 0
                        || service.as_ref().is_none_or(|service| is_port(service.as_bytes())))
            }
            Self::Name { flags, .. } => {
                let numeric = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
                flags & numeric == numeric
            }
        }
    }
}

/// Whether this is an address in its usual form, a zone included. The C library knows more forms (`127.1`, `0x7f.1`).
fn is_literal(host: &[u8]) -> bool {
    let Ok(host) = str::from_utf8(host) else { return false };
    let (version_6, zone) = host.split_once('%').map_or((host, None), |(address, zone)| (address, Some(zone)));
    version_6.parse::<Ipv6Addr>().is_ok() || zone.is_none() && host.parse::<Ipv4Addr>().is_ok()
}

fn is_port(service: &[u8]) -> bool {
    (1..=PORT_DIGITS).contains(&service.len()) && service.iter().all(u8::is_ascii_digit)
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::{Answer, Failure, Question, explain};
    use crate::address::Endpoint;

    fn c(text: &str) -> CString {
        CString::new(text).expect("no zero byte")
    }

    fn addresses(host: Option<&str>, service: Option<&str>, flags: i32) -> Question {
        Question::Addresses {
            host: host.map(c),
            service: service.map(c),
            family: 0,
            kind: libc::SOCK_STREAM,
            protocol: 0,
            flags,
        }
    }

    #[test]
    fn literals_with_ports_are_immediate() {
        for host in [None, Some("127.0.0.1"), Some("::1"), Some("fe80::1%lo"), Some("::ffff:1.2.3.4"), Some("::1%9")] {
            for service in [None, Some("0"), Some("80"), Some("65535")] {
                assert!(addresses(host, service, 0).is_immediate(), "{host:?} {service:?}");
            }
        }
    }

    #[test]
    fn what_may_be_looked_up_is_not_immediate() {
        for host in ["", "localhost", "name.test", "127.0.0.1%lo", "1.2.3", "1.2.3.4.", "::1 ", "%lo", "\u{fc}"] {
            assert!(!addresses(Some(host), Some("80"), 0).is_immediate(), "{host}");
            assert!(addresses(Some(host), Some("80"), libc::AI_NUMERICHOST).is_immediate(), "{host}");
        }
        for service in ["", "http", "-1", "+1", "4294967295", "8 0"] {
            assert!(!addresses(Some("::1"), Some(service), 0).is_immediate(), "{service}");
            assert!(addresses(Some("::1"), Some(service), libc::AI_NUMERICSERV).is_immediate(), "{service}");
        }
        let other_scripts = 0x80; // AI_CANONIDN
        assert!(!addresses(Some("::1"), Some("80"), other_scripts).is_immediate());
    }

    #[test]
    fn a_literal_is_its_own_answer() {
        let Ok(Answer::Addresses(entries)) = addresses(Some("127.0.0.1"), Some("80"), libc::AI_CANONNAME).ask() else {
            panic!("a literal needs no name server");
        };
        let [entry] = &entries[..] else { panic!("one kind was asked for: {entries:?}") };
        assert_eq!((entry.family, entry.kind, entry.protocol), (libc::AF_INET, libc::SOCK_STREAM, libc::IPPROTO_TCP));
        assert_eq!(entry.canonical, b"127.0.0.1");
        assert_eq!(entry.address.endpoint(), Endpoint::V4(Ipv4Addr::LOCALHOST, 80));
    }

    #[test]
    fn a_zone_becomes_the_scope() {
        let Ok(Answer::Addresses(entries)) = addresses(Some("fe80::1%7"), None, 0).ask() else { panic!("a literal") };
        let address = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        assert_eq!(entries[0].address.endpoint(), Endpoint::V6(address, 0, 0, 7));
    }

    #[test]
    fn errors_are_the_c_librarys() {
        let failure = addresses(Some("name"), None, libc::AI_NUMERICHOST).ask().expect_err("not a number");
        assert_eq!(failure, Failure::Lookup(libc::EAI_NONAME));
        assert!(!explain(libc::EAI_NONAME).is_empty());
    }

    #[test]
    fn an_address_becomes_text() {
        let flags = libc::NI_NUMERICHOST | libc::NI_NUMERICSERV;
        let question = Question::Name { host: c("fe80::1"), port: c("80"), flow: 0, scope: 0x00ff_ffff, flags };
        assert!(question.is_immediate());
        let Ok(Answer::Name { host, service }) = question.ask() else { panic!("numbers need no lookup") };
        assert_eq!((&host[..], &service[..]), (&b"fe80::1%16777215"[..], &b"80"[..]));
        let question = Question::Name { host: c("::1"), port: c("80"), flow: 0, scope: 0, flags: libc::NI_NUMERICHOST };
        assert!(!question.is_immediate(), "a service's name is read from files");
    }
}
