//! Datagram sockets.

use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;

use rustix::io::Errno;
use tulipa_core::{Attempt, Driver};
use tulipa_sys::{Address, Descriptor, Endpoint, Source};

use crate::world::{BOTH, READ, errno, level, on_every_driver};

fn udp() -> (Source, UdpSocket, Address) {
    let (near, far) = (UdpSocket::bind("127.0.0.1:0").expect("bound"), UdpSocket::bind("127.0.0.1:0").expect("bound"));
    let port = far.local_addr().expect("an address").port();
    let address = Address::new(&Endpoint::V4(std::net::Ipv4Addr::LOCALHOST, port)).expect("an address");
    far.connect(near.local_addr().expect("an address")).expect("connected");
    (Source::datagram(Descriptor::Owned(near.into())).expect("a socket"), far, address)
}

#[test]
fn datagrams_keep_their_bounds_and_their_sender() {
    on_every_driver(|world| {
        let (mut source, peer, address) = udp();
        let token = world.attach(&mut source, level(READ));
        for text in ["one", "", "three"] {
            peer.send(text.as_bytes()).expect("sent");
        }
        for text in ["one", "", "three"] {
            world.readable(token);
            let mut buffer = [0; 100];
            let Ok(Attempt::Done((count, sender))) = world.driver.receive(&mut source, &mut buffer) else {
                panic!("one waits")
            };
            assert_eq!(&buffer[..count], text.as_bytes());
            assert_eq!(sender, Some(address.clone()));
        }
        world.silent(token);
        assert_eq!(world.driver.receive(&mut source, &mut [0; 10]), Ok(Attempt::Pending));
        world.close(source);
    });
}

#[test]
fn datagrams_go_where_they_are_sent() {
    on_every_driver(|world| {
        let (mut source, peer, address) = udp();
        assert_eq!(world.driver.send(&mut source, b"there", Some(&address)), Ok(Attempt::Done(())));
        let mut buffer = [0; 10];
        assert_eq!(peer.recv(&mut buffer).expect("received"), 5);
        assert_eq!(world.driver.send(&mut source, b"nowhere", None), Err(errno(Errno::DESTADDRREQ)));
        world.close(source);
    });
}

#[test]
fn an_earlier_datagram_that_was_refused_is_an_error_once() {
    on_every_driver(|world| {
        let near = UdpSocket::bind("127.0.0.1:0").expect("bound");
        let gone = UdpSocket::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address");
        near.connect(gone).expect("connected");
        let mut source = Source::datagram(Descriptor::Owned(near.into())).expect("a socket");
        let token = world.attach(&mut source, level(READ));
        assert_eq!(world.driver.send(&mut source, b"anybody?", None), Ok(Attempt::Done(())));
        world.readable(token);
        assert_eq!(world.driver.receive(&mut source, &mut [0; 10]), Err(errno(Errno::CONNREFUSED)));
        assert_eq!(world.driver.receive(&mut source, &mut [0; 10]), Ok(Attempt::Pending));
        world.close(source);
    });
}

#[test]
fn a_sender_without_room_hears_of_room() {
    on_every_driver(|world| {
        for interest in [level(BOTH), BOTH] {
            let (near, far) = UnixDatagram::pair().expect("a pair");
            let mut source = Source::datagram(Descriptor::Owned(near.into())).expect("a socket");
            let mut sent = 0;
            while world.driver.send(&mut source, &[0; 1000], None).expect("sent") == Attempt::Done(()) {
                sent += 1;
            }
            let token = world.attach(&mut source, interest);
            world.silent(token);
            for _ in 0..sent {
                far.recv(&mut [0; 1000]).expect("received");
            }
            world.writable(token);
            assert_eq!(world.driver.send(&mut source, b"more", None), Ok(Attempt::Done(())));
            world.close(source);
        }
    });
}
