//! Listening sockets.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::fs::OFlags;
use rustix::io::{FdFlags, fcntl_getfd};
use tulipa_core::{Attempt, Driver, Interest};
use tulipa_sys::{Descriptor, Endpoint, Kind, Source};

use crate::world::{BOTH, READ, level, on_every_driver};

const NOTHING: Interest = Interest { read: false, ..READ };

#[test]
fn connections_are_reported_until_they_are_accepted() {
    on_every_driver(|world| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.set_nonblocking(true).expect("set");
        let address = listener.local_addr().expect("an address");
        let mut source = Source::listener(Descriptor::Owned(listener.into())).expect("a listener");
        let token = world.attach(&mut source, level(READ));
        world.silent(token);
        let clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).expect("connected")).collect();
        for client in &clients {
            world.readable(token);
            let Ok(Attempt::Done((mut connection, peer))) = world.driver.accept(&mut source) else {
                panic!("one waits")
            };
            let client = client.local_addr().expect("an address");
            assert_eq!(peer.endpoint(), Endpoint::V4(std::net::Ipv4Addr::LOCALHOST, client.port()));
            assert_eq!(connection.kind(), Kind::Socket);
            let flags = rustix::fs::fcntl_getfl(&connection).expect("flags");
            assert!(flags.contains(OFlags::NONBLOCK));
            assert_eq!(fcntl_getfd(&connection), Ok(FdFlags::CLOEXEC));
            assert_eq!(world.write(&mut connection, &[b"welcome"]), Ok(Attempt::Done(7)));
            world.close(connection);
        }
        world.silent(token);
        assert!(matches!(world.driver.accept(&mut source), Ok(Attempt::Pending)));
        world.close(source);
    });
}

#[test]
fn a_listener_that_pauses_is_silent_and_does_not_keep_the_loop_awake() {
    on_every_driver(|world| {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        listener.set_nonblocking(true).expect("set");
        let mut source = Source::listener(Descriptor::Owned(listener.into())).expect("a listener");
        let token = world.attach(&mut source, level(READ));
        world.driver.change(token, &mut source, level(NOTHING)).expect("changed");
        let _client = TcpStream::connect(address).expect("connected");
        world.silent(token);
        world.driver.change(token, &mut source, level(READ)).expect("changed");
        world.readable(token);
        world.close(source);
    });
}

#[test]
fn an_unnamed_peer_has_an_unnamed_address() {
    on_every_driver(|world| {
        let path = std::env::temp_dir().join(format!("tulipa-{}-{}", std::process::id(), world.driver.name()));
        let listener = UnixListener::bind(&path).expect("bound");
        listener.set_nonblocking(true).expect("set");
        let mut source = Source::listener(Descriptor::Owned(listener.into())).expect("a listener");
        let mut client = UnixStream::connect(&path).expect("connected");
        std::fs::remove_file(&path).expect("removed");
        let Ok(Attempt::Done((mut connection, peer))) = world.driver.accept(&mut source) else { panic!("one waits") };
        assert_eq!(peer.endpoint(), Endpoint::Unix(b""));
        let token = world.attach(&mut connection, BOTH);
        client.write_all(b"hello").expect("sent");
        assert_eq!(world.read_exactly(&mut connection, token, 5), b"hello");
        world.close(connection);
        world.close(source);
    });
}
