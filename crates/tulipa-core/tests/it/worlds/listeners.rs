//! Listeners: every connection is accepted once, or its maker learns that it was not.

use tulipa_core::sim::{EndId, SimAddress, codes};
use tulipa_core::{Ends, Token};

use super::connections::Connection;
use super::world::{Phase, World};
use crate::host::Owner;

#[derive(Debug)]
pub(crate) struct ListenerModel {
    pub(crate) token: Token,
    address: SimAddress,
    paused: bool,
    /// The near ends of connections on their way.
    pub(crate) coming: Vec<EndId>,
}

impl World {
    pub(crate) fn open_listener(&mut self) {
        let owner = Owner(self.fresh_id());
        self.mark("listen", owner.0);
        let backlog = self.dice.between(1, 4);
        let (source, address) = self.lp.driver().listener(backlog);
        let end = source.id();
        match self.lp.listen(source, owner) {
            Ok(token) => {
                let model = ListenerModel { token, address, paused: false, coming: Vec::new() };
                self.listeners.insert(owner, model);
            }
            Err(code) => {
                assert_eq!(code, codes::TOO_MANY_WATCHED);
                assert!(!self.lp.driver().peer(end).is_open(), "a failed registration leaves no trace");
            }
        }
    }

    pub(crate) fn acceptable(&mut self, token: Token, owner: Owner) {
        self.mark("acceptable", owner.0);
        for _ in 0..self.dice.between(1, 3) {
            let Some(listener) = self.listeners.get(&owner) else { return };
            assert_eq!(listener.token, token);
            assert!(!listener.paused || self.depth > 0, "nothing is accepted while paused");
            match self.lp.accept(token) {
                Ok(Some((source, _))) => {
                    let near = self.lp.driver().peer(source.id()).other().unwrap();
                    let coming = &mut self.listeners.get_mut(&owner).unwrap().coming;
                    let at = coming.iter().position(|end| *end == near).unwrap();
                    coming.remove(at);
                    self.adopt_stream(source, near, Ends::Both);
                }
                Ok(None) => return,
                Err(code) => {
                    assert_eq!(code, codes::TOO_MANY_OPEN);
                    self.pause_accepting(owner, true);
                    return;
                }
            }
        }
        self.act();
    }

    pub(crate) fn pause_accepting(&mut self, owner: Owner, paused: bool) {
        let Some(listener) = self.listeners.get_mut(&owner) else { return };
        listener.paused = paused;
        self.lp.pause_accepting(listener.token, paused).unwrap();
        if paused && self.phase == Phase::Wild {
            // Somebody must go on later.
            self.call_later();
        }
    }

    pub(crate) fn act_on_listeners(&mut self) {
        let nth = self.dice.below(self.listeners.len());
        let Some(owner) = self.listeners.keys().nth(nth).copied() else { return };
        match self.dice.below(12) {
            0..4 => self.pause_accepting(owner, false),
            4 => self.pause_accepting(owner, true),
            5 => self.close_listener(owner),
            _ => {
                let address = self.listeners[&owner].address;
                if let Ok(near) = self.lp.driver().connect(address) {
                    self.listeners.get_mut(&owner).unwrap().coming.push(near);
                }
            }
        }
    }

    pub(crate) fn close_listener(&mut self, owner: Owner) {
        let Some(listener) = self.listeners.remove(&owner) else { return };
        self.mark("close listener", owner.0);
        self.release(listener.token, owner);
        for near in listener.coming {
            // Nobody accepted them: they are told, and go.
            let salt = self.fresh_id();
            let mut connection = Connection::new(salt, near, true, true);
            connection.cut_short = true;
            self.connections.insert(near, connection);
            self.peer_closes(near);
        }
    }

    /// Whether every connection was accepted that could be.
    pub(crate) fn check_all_accepted(&self) {
        for listener in self.listeners.values() {
            assert!(listener.coming.is_empty(), "connections wait, and nobody was told");
        }
    }
}
