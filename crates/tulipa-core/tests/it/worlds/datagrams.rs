//! Datagram sockets: each message whole, none that nobody sent.

use std::collections::BTreeMap;

use tulipa_core::sim::{EndId, SimAddress, codes};
use tulipa_core::{Attempt, Code, Sent, Token};

use super::world::{Phase, World};
use crate::host::Owner;

#[derive(Debug)]
pub(crate) struct DatagramModel {
    pub(crate) token: Token,
    peer: EndId,
    peer_address: SimAddress,
    address: SimAddress,
    connected: bool,
    started: bool,
    paused: bool,
    pub(crate) closing: bool,
    writing_paused: bool,
    /// `fail` gave this reason.
    fault: Option<Code>,
    /// How often each message was sent in each direction, and how often it has arrived.
    sent: BTreeMap<Vec<u8>, usize>,
}

impl World {
    pub(crate) fn open_datagram(&mut self) {
        let owner = Owner(self.fresh_id());
        self.mark("open datagram", owner.0);
        let connected = self.percent(50.0);
        let driver = self.lp.driver();
        let (peer, peer_address) = driver.world_datagram(None);
        let (source, address) = driver.datagram(connected.then_some(peer_address));
        let token = self.lp.open_datagram(source, owner);
        let model = DatagramModel {
            token,
            peer,
            peer_address,
            address,
            connected,
            started: false,
            paused: false,
            closing: false,
            writing_paused: false,
            fault: None,
            sent: BTreeMap::new(),
        };
        self.datagrams.insert(owner, model);
    }

    fn socket(&mut self, token: Token, owner: Owner) -> &mut DatagramModel {
        let socket = self.datagrams.get_mut(&owner).unwrap();
        assert_eq!(socket.token, token);
        socket
    }

    pub(crate) fn datagram_started(&mut self, token: Token, owner: Owner) {
        assert!(!std::mem::replace(&mut self.socket(token, owner).started, true), "connection_made runs once");
        self.act();
        if let Err(code) = self.lp.begin(token) {
            let socket = self.socket(token, owner);
            socket.closing = true;
            socket.fault = Some(code);
        }
    }

    pub(crate) fn datagram_readable(&mut self, token: Token, owner: Owner) {
        let mut into = [0; 4096];
        loop {
            let Some(socket) = self.datagrams.get(&owner) else { return };
            let (may_read, peer_address) = (!socket.paused && !socket.closing, socket.peer_address);
            assert!(socket.started);
            match self.lp.receive(token, &mut into) {
                Ok(Some((count, from))) => {
                    assert!(may_read, "a datagram for a socket that is paused or closing");
                    assert_eq!(from, Some(peer_address));
                    self.mark("datagram_received", owner.0);
                    assert!(self.socket(token, owner).sent.contains_key(&into[..count]), "nobody has sent this");
                    self.act();
                }
                Ok(None) => return,
                Err(code) => {
                    assert!(may_read);
                    assert_eq!(code, codes::REFUSED);
                    self.act();
                }
            }
            if self.percent(50.0) {
                // The next one is a step of its own, if there is one.
                self.lp.receive_on(token);
                return;
            }
        }
    }

    pub(crate) fn datagram_resumed(&mut self, token: Token, owner: Owner) {
        let socket = self.socket(token, owner);
        assert!(std::mem::replace(&mut socket.writing_paused, false), "resume_writing only after pause_writing");
        let (low, _) = self.lp.marks(token);
        assert!(self.lp.buffer_size(token) <= low);
        self.act();
        self.send(owner);
    }

    pub(crate) fn send_failed(&mut self, token: Token, owner: Owner, code: Code) {
        self.mark("error_received", owner.0);
        assert!([codes::MESSAGE_TOO_LONG, codes::REFUSED].contains(&code), "{code}");
        assert!(!self.socket(token, owner).closing || self.lp.is_closing(token));
        self.act();
        self.send(owner);
    }

    pub(crate) fn datagram_lost(&mut self, token: Token, owner: Owner, code: Option<Code>) {
        let socket = self.socket(token, owner);
        assert!(socket.started && socket.closing);
        assert_eq!(code, socket.fault);
        let peer = socket.peer;
        self.act();
        self.release(token, owner);
        self.datagrams.remove(&owner);
        if self.lp.driver().peer(peer).is_open() {
            self.lp.driver().peer(peer).close();
        }
    }

    pub(crate) fn act_on_datagrams(&mut self) {
        let nth = self.dice.below(self.datagrams.len());
        let Some(owner) = self.datagrams.keys().nth(nth).copied() else { return };
        let token = self.datagrams[&owner].token;
        match self.dice.below(24) {
            0..14 => (0..self.dice.between(1, 8)).for_each(|_| self.send(owner)),
            14..18 => self.pause_or_resume_datagrams(owner),
            18..21 => {
                let high = self.dice.below(600);
                if self.lp.set_marks(token, high, self.dice.between(0, high)) {
                    self.socket_paused(token, owner);
                }
            }
            21 => self.close_datagram(owner),
            22 => {
                let fault = (!self.lp.is_closing(token)).then_some(codes::TIMED_OUT);
                let socket = self.socket(token, owner);
                if fault.is_some() {
                    socket.fault = fault;
                    socket.closing = true;
                    self.lp.fail(token, fault);
                }
            }
            _ => {
                self.socket(token, owner).closing = true;
                self.lp.abort(token);
                assert!(!self.lp.abort(token));
                assert_eq!(self.lp.buffer_size(token), 0);
            }
        }
    }

    pub(crate) fn pause_or_resume_datagrams(&mut self, owner: Owner) {
        let Some(socket) = self.datagrams.get(&owner) else { return };
        let (token, paused, open) = (socket.token, socket.paused, !socket.closing);
        if self.phase == Phase::Settling || self.percent(50.0) {
            assert_eq!(self.lp.resume_reading(token), open && paused);
            self.socket(token, owner).paused &= !open;
        } else {
            assert_eq!(self.lp.pause_reading(token), open && !paused);
            self.socket(token, owner).paused |= open;
        }
    }

    pub(crate) fn close_datagram(&mut self, owner: Owner) {
        let Some(socket) = self.datagrams.get_mut(&owner) else { return };
        socket.closing = true;
        self.lp.close(socket.token);
    }

    fn send(&mut self, owner: Owner) {
        let Some(socket) = self.datagrams.get(&owner) else { return };
        if socket.closing && self.phase != Phase::Wild {
            return;
        }
        let (token, to) = (socket.token, (!socket.connected).then_some(socket.peer_address));
        let message = self.message();
        self.socket(token, owner).sent.insert(message.clone(), 1);
        match self.lp.send(token, message, to) {
            Sent::Accepted => {}
            Sent::Pause => self.socket_paused(token, owner),
            Sent::Dropped => assert!(self.socket(token, owner).closing),
            Sent::Failed(code) => assert!([codes::MESSAGE_TOO_LONG, codes::REFUSED].contains(&code), "{code}"),
        }
    }

    fn message(&mut self) -> Vec<u8> {
        let mut message = self.fresh_id().to_le_bytes().to_vec();
        message.resize(self.dice.between(4, 100), 7);
        if self.percent(5.0) { Vec::new() } else { message }
    }

    fn socket_paused(&mut self, token: Token, owner: Owner) {
        self.mark("pause_writing", owner.0);
        let (_, high) = self.lp.marks(token);
        assert!(self.lp.buffer_size(token) > high);
        assert!(!std::mem::replace(&mut self.socket(token, owner).writing_paused, true), "pause_writing only once");
        self.act();
    }

    /// The world's ends of datagram sockets.
    pub(crate) fn datagram_peers_act(&mut self) {
        let owners: Vec<Owner> = self.datagrams.keys().copied().collect();
        for owner in owners {
            let mut into = [0; 4096];
            let socket = self.datagrams.get_mut(&owner).unwrap();
            let (peer, address) = (socket.peer, socket.address);
            if !self.lp.driver().peer(peer).is_open() {
                continue;
            }
            while let Ok(Attempt::Done((count, from))) = self.lp.driver().peer(peer).receive(&mut into) {
                assert_eq!(from, Some(address));
                assert!(self.datagrams[&owner].sent.contains_key(&into[..count]), "nobody has sent this");
            }
            if self.phase == Phase::Wild && self.percent(20.0) {
                let message = self.message();
                self.datagrams.get_mut(&owner).unwrap().sent.insert(message.clone(), 1);
                let _ = self.lp.driver().peer(peer).send(&message, Some(address));
            }
            if self.phase == Phase::Wild && self.percent(0.5) {
                self.lp.driver().peer(peer).close();
            }
        }
    }
}
