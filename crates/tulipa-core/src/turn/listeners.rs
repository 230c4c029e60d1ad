//! Listeners, as the world above operates them.

use super::{Loop, Slot};
use crate::driver::{Accepted, Attempt, Code, Driver};
use crate::host::Host;
use crate::listener::Listener;
use crate::token::Token;

impl<D: Driver, H: Host> Loop<D, H> {
    /// Begins to accept connections.
    ///
    /// # Errors
    /// The driver's code; then the source is closed and nothing is registered.
    pub fn listen(&mut self, source: D::Source, owner: H::Owner) -> Result<Token, Code> {
        let token = self.slots.insert(Slot::Listener(Listener::new(source, owner)));
        let Some(Slot::Listener(listener)) = self.slots.get_mut(token) else { return Ok(token) };
        let interest = listener.interest();
        if let Err(code) = self.driver.attach(token, &mut listener.source, interest) {
            self.release(token);
            return Err(code);
        }
        Ok(token)
    }

    /// Whether a token names a listener.
    pub fn is_listener(&self, token: Token) -> bool {
        matches!(self.slots.get(token), Some(Slot::Listener(_)))
    }

    /// Takes one connection that waits.
    ///
    /// # Errors
    /// The driver's code; the listener goes on.
    pub fn accept(&mut self, token: Token) -> Result<Option<Accepted<D>>, Code> {
        match self.slots.get_mut(token) {
            Some(Slot::Listener(listener)) if !listener.paused => match self.driver.accept(&mut listener.source)? {
                Attempt::Done(accepted) => Ok(Some(accepted)),
                Attempt::Pending => Ok(None),
            },
            _ => Ok(None),
        }
    }

    /// Stops or goes on accepting, for a program that has run out of descriptors.
    ///
    /// # Errors
    /// The driver's code.
    pub fn pause_accepting(&mut self, token: Token, paused: bool) -> Result<(), Code> {
        if let Some(Slot::Listener(listener)) = self.slots.get_mut(token) {
            let before = std::mem::replace(&mut listener.paused, paused);
            let interest = listener.interest();
            let result = self.driver.change(token, &mut listener.source, interest);
            if result.is_err() {
                listener.paused = before;
            }
            return result;
        }
        Ok(())
    }
}
