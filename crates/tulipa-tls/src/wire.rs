//! The ciphertext of one connection, on its way between the session and whoever moves it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::buffer::Buffer;

/// Both directions. Shared by the session's owner and OpenSSL, which may read and write on any thread.
#[derive(Debug, Default)]
pub struct Wire(Mutex<Ends>);

#[derive(Debug, Default)]
struct Ends {
    /// What has arrived and the session has not read, and what has come after that. No buffer is empty, and there is a first
    /// one if there is any.
    first: Option<Buffer>,
    behind: VecDeque<Buffer>,
    arrived: usize,
    outgoing: Vec<u8>,
}

impl Ends {
    fn last(&mut self) -> Option<&mut Buffer> {
        self.behind.back_mut().or(self.first.as_mut())
    }

    fn push(&mut self, buffer: Buffer) {
        if self.first.is_none() {
            self.first = Some(buffer);
        } else {
            self.behind.push_back(buffer);
        }
    }

    fn drop_first(&mut self) {
        self.first = self.behind.pop_front();
        if self.behind.is_empty() {
            self.behind = VecDeque::new();
        }
    }
}

impl Wire {
    fn ends(&self) -> MutexGuard<'_, Ends> {
        // Nothing that holds the lock can fail halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ciphertext has arrived, in a buffer that may be kept.
    pub fn arrive(&self, buffer: Buffer) {
        let mut ends = self.ends();
        let count = buffer.data().len();
        if count == 0 {
            return;
        }
        ends.arrived += count;
        // Small pieces share a block, so that many of them cannot cost a block each.
        if let Some(last) = ends.last()
            && last.room().len() >= count
        {
            last.append(buffer.data());
            return;
        }
        ends.push(buffer);
    }

    /// Ciphertext has arrived.
    pub fn arrive_copied(&self, mut data: &[u8]) {
        let mut ends = self.ends();
        ends.arrived += data.len();
        if let Some(last) = ends.last() {
            let count = last.append(data);
            data = &data[count..];
        }
        while !data.is_empty() {
            let mut buffer = Buffer::borrow();
            let count = buffer.append(data);
            data = &data[count..];
            ends.push(buffer);
        }
    }

    /// Bytes that have arrived and were not read.
    #[must_use]
    pub fn arrived(&self) -> usize {
        self.ends().arrived
    }

    /// Bytes that wait to be sent.
    #[must_use]
    pub fn departing(&self) -> usize {
        self.ends().outgoing.len()
    }

    /// What is to be sent, in order; it is the caller's from now on.
    #[must_use]
    pub fn depart(&self) -> Vec<u8> {
        std::mem::take(&mut self.ends().outgoing)
    }

    /// Drops everything.
    pub fn clear(&self) {
        *self.ends() = Ends::default();
    }

    /// The session reads. Zero if nothing is there.
    pub(crate) fn read(&self, into: &mut [u8]) -> usize {
        let mut ends = self.ends();
        let mut count = 0;
        while count < into.len()
            && let Some(first) = &mut ends.first
        {
            let data = first.data();
            let taken = data.len().min(into.len() - count);
            into[count..count + taken].copy_from_slice(&data[..taken]);
            count += taken;
            first.consume(taken);
            if first.data().is_empty() {
                ends.drop_first();
            }
        }
        ends.arrived -= count;
        count
    }

    /// The session writes.
    pub(crate) fn write(&self, data: &[u8]) {
        self.ends().outgoing.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::buffer::BLOCK;

    fn read(wire: &Wire, count: usize) -> Vec<u8> {
        let mut into = vec![0; count];
        let count = wire.read(&mut into);
        into.truncate(count);
        into
    }

    #[test]
    fn what_arrives_in_pieces_is_read_in_order() {
        let wire = Wire::default();
        let mut whole = Vec::new();
        for size in [1, 7, BLOCK - 3, 2 * BLOCK + 11, 5] {
            let data: Vec<u8> = (0..size).map(|at| u8::try_from((at + size) % 251).unwrap_or(0)).collect();
            wire.arrive_copied(&data);
            let mut buffer = Buffer::borrow();
            buffer.append(b"between");
            wire.arrive(buffer);
            whole.extend_from_slice(&data);
            whole.extend_from_slice(b"between");
        }
        assert_eq!(wire.arrived(), whole.len());
        let mut seen = Vec::new();
        while wire.arrived() > 0 {
            seen.extend(read(&wire, 1000));
        }
        assert_eq!(seen, whole);
        assert_eq!(read(&wire, 5), b"");
    }

    #[test]
    fn small_pieces_share_a_block() {
        let wire = Wire::default();
        for _ in 0..1000 {
            let mut buffer = Buffer::borrow();
            buffer.append(b"x");
            wire.arrive(buffer);
        }
        assert!(wire.ends().first.is_some());
        assert!(wire.ends().behind.is_empty());
        assert_eq!(read(&wire, 2000).len(), 1000);
        assert!(wire.ends().first.is_none());
    }

    #[test]
    fn an_empty_arrival_is_nothing() {
        let wire = Wire::default();
        wire.arrive(Buffer::borrow());
        wire.arrive_copied(b"");
        assert_eq!(wire.arrived(), 0);
        assert!(wire.ends().first.is_none());
    }

    #[test]
    fn what_departs_is_handed_over_once() {
        let wire = Wire::default();
        wire.write(b"ab");
        wire.write(b"c");
        assert_eq!(wire.departing(), 3);
        assert_eq!(wire.depart(), b"abc");
        assert_eq!(wire.depart(), b"");
    }
}
