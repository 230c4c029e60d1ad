//! Single operations on sockets that somebody else owns.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

use rustix::fs::{OFlags, fcntl_getfl};
use rustix::io::{Errno, FdFlags, fcntl_getfd};
use rustix::net::sockopt::tcp_nodelay;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use tulipa_core::Attempt;
use tulipa_sys::{Address, Endpoint, address, socket};

use crate::world::{errno, tcp_pair};

#[test]
fn bytes_go_back_and_forth_and_nothing_blocks() {
    let (near, far) = tcp_pair();
    let (near, far) = (near.as_raw_fd(), far.as_raw_fd());
    let mut buffer = [0; 10];
    assert_eq!(socket::recv(near, &mut buffer), Ok(Attempt::Pending));
    assert_eq!(socket::send(far, b"hello"), Ok(Attempt::Done(5)));
    assert_eq!(socket::recv(near, &mut buffer), Ok(Attempt::Done(5)));
    while socket::send(far, &[0; 65_536]).expect("sent") != Attempt::Pending {}
    assert_eq!(socket::shutdown_write(near), Ok(()));
    assert_eq!(socket::recv(far, &mut buffer), Ok(Attempt::Done(0)));
}

#[test]
fn a_connection_is_made_and_both_ends_know_their_addresses() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = socket::local_address(listener.as_raw_fd()).expect("an address");
    let client = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).expect("a socket");
    assert_eq!(socket::peer_address(client.as_raw_fd()), Err(errno(Errno::NOTCONN)));
    assert!(socket::connect(client.as_raw_fd(), &address).is_ok());
    let Ok(Attempt::Done((server, peer))) = socket::accept(listener.as_raw_fd()) else { panic!("one waits") };
    assert_eq!(socket::error(client.as_raw_fd()), Ok(None));
    assert_eq!(socket::local_address(client.as_raw_fd()), Ok(peer));
    assert_eq!(socket::peer_address(client.as_raw_fd()), Ok(address.clone()));
    assert_eq!(socket::local_address(server.as_raw_fd()), Ok(address));
    listener.set_nonblocking(true).expect("set");
    assert!(matches!(socket::accept(listener.as_raw_fd()), Ok(Attempt::Pending)));
}

#[test]
fn a_refused_connection_says_so_later() {
    let gone = UdpSocket::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
    let address = Address::new(&Endpoint::V4(Ipv4Addr::LOCALHOST, gone.port())).expect("an address");
    let client = socket_with(AddressFamily::INET, SocketType::STREAM, SocketFlags::NONBLOCK, None).expect("a socket");
    match socket::connect(client.as_raw_fd(), &address) {
        Ok(Attempt::Pending) => assert_eq!(socket::error(client.as_raw_fd()), Ok(Some(errno(Errno::CONNREFUSED)))),
        refused => assert_eq!(refused, Err(errno(Errno::CONNREFUSED))),
    }
    assert_eq!(socket::error(client.as_raw_fd()), Ok(None), "taken");
}

#[test]
fn a_stream_is_made_connected_and_asked_how_far_it_is() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = socket::local_address(listener.as_raw_fd()).expect("an address");
    let client = socket::stream(address.family(), 0).expect("a socket");
    assert!(tcp_nodelay(&client).expect("known"));
    assert!(fcntl_getfl(&client).expect("flags").contains(OFlags::NONBLOCK));
    assert!(fcntl_getfd(&client).expect("flags").contains(FdFlags::CLOEXEC));
    assert!(socket::connect(client.as_raw_fd(), &address).is_ok());
    listener.accept().expect("accepted");
    for _ in 0..2 {
        assert_eq!(socket::connect(client.as_raw_fd(), &address), Ok(Attempt::Done(())));
    }
}

#[test]
fn a_stream_of_no_family_or_protocol_is_refused() {
    for family in [-1, 1 << 16, 255] {
        assert_eq!(socket::stream(family, 0).err(), Some(errno(Errno::AFNOSUPPORT)), "{family}");
    }
    for protocol in [-1, 17] {
        assert_eq!(socket::stream(address::INET, protocol).err(), Some(errno(Errno::PROTONOSUPPORT)), "{protocol}");
    }
}

#[test]
fn a_unix_listener_whose_queue_is_full_is_an_error_and_no_wait() {
    let name = format!("\0tulipa-full-{}", std::process::id());
    let address = Address::new(&Endpoint::Unix(name.as_bytes())).expect("an address");
    let make = || socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).expect("a socket");
    let listener = make();
    rustix::net::bind(
        &listener,
        &rustix::net::SocketAddrUnix::new_abstract_name(&name.as_bytes()[1..]).expect("a name"),
    )
    .expect("bound");
    rustix::net::listen(&listener, 0).expect("listens");
    let clients: Vec<_> = (0..10).map(|_| make()).collect();
    let results: Vec<_> = clients.iter().map(|client| socket::connect(client.as_raw_fd(), &address)).collect();
    assert_eq!(results.first(), Some(&Ok(Attempt::Done(()))));
    assert_eq!(results.last(), Some(&Err(errno(Errno::AGAIN))));
}

#[test]
fn datagrams_carry_their_sender() {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0").expect("bound"), UdpSocket::bind("127.0.0.1:0").expect("bound"));
    let (near, far) = (near.as_raw_fd(), far.as_raw_fd());
    let address = socket::local_address(far).expect("an address");
    let mut buffer = [0; 10];
    assert_eq!(socket::recv_from(far, &mut buffer), Ok(Attempt::Pending));
    assert_eq!(socket::send_to(near, b"hello", &address), Ok(Attempt::Done(5)));
    let sender = socket::local_address(near).expect("an address");
    assert_eq!(socket::recv_from(far, &mut buffer), Ok(Attempt::Done((5, Some(sender)))));
}

#[test]
fn nodelay_is_set_by_family_and_type() {
    let nodelay = |family, kind| {
        let made = socket_with(family, kind, SocketFlags::CLOEXEC, None).expect("a socket");
        let said = socket::set_nodelay(made.as_raw_fd()).expect("asked");
        assert_eq!(said, tcp_nodelay(&made).unwrap_or(false));
        said
    };
    assert!(nodelay(AddressFamily::INET, SocketType::STREAM));
    assert!(nodelay(AddressFamily::INET6, SocketType::STREAM));
    assert!(!nodelay(AddressFamily::INET, SocketType::DGRAM));
    assert!(!nodelay(AddressFamily::UNIX, SocketType::STREAM));
}

#[test]
fn an_accepted_connection_inherits_nodelay() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    assert_eq!(socket::set_nodelay(listener.as_raw_fd()), Ok(true));
    let _client = std::net::TcpStream::connect(listener.local_addr().expect("an address")).expect("connected");
    let (server, _) = listener.accept().expect("accepted");
    assert_eq!(tcp_nodelay(&server), Ok(true));
}

#[test]
fn family_and_type_are_told() {
    let (near, _far) = UnixStream::pair().expect("a pair");
    let (datagram, _other) = UnixDatagram::pair().expect("a pair");
    let listener = TcpListener::bind("[::1]:0").or_else(|_| TcpListener::bind("127.0.0.1:0")).expect("bound");
    assert_eq!(socket::family(near.as_raw_fd()), Ok(address::UNIX));
    assert_eq!(socket::kind(near.as_raw_fd()), Ok(socket::STREAM));
    assert_eq!(socket::kind(datagram.as_raw_fd()), Ok(socket::DATAGRAM));
    assert!(matches!(socket::family(listener.as_raw_fd()), Ok(address::INET | address::INET6)));
}

#[test]
fn unix_addresses_come_back_as_they_were_bound() {
    let path = std::env::temp_dir().join(format!("tulipa-named-{}", std::process::id()));
    let listener = UnixListener::bind(&path).expect("bound");
    let name = path.as_os_str().as_encoded_bytes();
    let address = socket::local_address(listener.as_raw_fd()).expect("an address");
    assert_eq!(address.endpoint(), Endpoint::Unix(name));
    assert_eq!(tulipa_sys::file::remove_stale_socket(&path), Ok(()));
    assert!(!path.exists());
}

#[test]
fn numbers_that_are_no_sockets_are_errors() {
    let file = std::fs::File::open("/dev/null").expect("opened");
    let address = Address::new(&Endpoint::Unix(b"")).expect("an address");
    let bad: [(RawFd, Errno); 3] = [(-1, Errno::BADF), (1_000_000, Errno::BADF), (file.as_raw_fd(), Errno::NOTSOCK)];
    for (number, expected) in bad {
        let expected = errno(expected);
        assert_eq!(socket::recv(number, &mut [0]), Err(expected));
        assert_eq!(socket::recv_from(number, &mut [0]), Err(expected));
        assert_eq!(socket::send(number, b"x"), Err(expected));
        assert_eq!(socket::send_to(number, b"x", &address), Err(expected));
        assert_eq!(socket::connect(number, &address), Err(expected));
        assert_eq!(socket::error(number), Err(expected));
        assert_eq!(socket::accept(number).err(), Some(expected));
        assert_eq!(socket::local_address(number), Err(expected));
        assert_eq!(socket::peer_address(number), Err(expected));
        assert_eq!(socket::set_nodelay(number), Err(expected));
        assert_eq!(socket::family(number), Err(expected));
        assert_eq!(socket::shutdown_write(number), Err(expected));
    }
}

#[test]
fn all_numbers_of_a_socket_lead_to_one_inode() {
    let (one, other) = std::os::unix::net::UnixStream::pair().expect("a pair");
    let copy = rustix::io::dup(&one).expect("a copy");
    let inode = socket::inode(one.as_raw_fd());
    assert!(inode.is_some());
    assert_eq!(socket::inode(copy.as_raw_fd()), inode);
    assert_ne!(socket::inode(other.as_raw_fd()), inode);
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    for number in [reader.as_raw_fd(), -1, 1_000_000] {
        assert_eq!(socket::inode(number), None);
    }
}
