//! Blocks of memory that are borrowed while data flows.
//!
//! A connection that waits holds none: thousands of idle ones cost no buffers, and a busy thread uses the same few,
//! warm in its cache, for all of them.

use std::cell::RefCell;

/// Bytes in a block: four full TLS records, and well below what an allocator maps anew each time.
pub const BLOCK: usize = 64 * 1024;

/// How many blocks a thread keeps: one for each direction, for a TLS session inside another.
const KEPT: usize = 4;

thread_local! {
    static POOL: RefCell<Vec<Box<[u8]>>> = const { RefCell::new(Vec::new()) };
}

/// A block, and which part of it holds data. Dropping it gives the block back.
#[derive(Debug)]
pub struct Buffer {
    block: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    /// An empty buffer of [`BLOCK`] bytes.
    #[must_use]
    pub fn borrow() -> Self {
        let block = POOL.try_with(|pool| pool.borrow_mut().pop()).ok().flatten();
        Self { block: block.unwrap_or_else(|| vec![0; BLOCK].into_boxed_slice()), start: 0, end: 0 }
    }

    /// The data.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        self.block.get(self.start..self.end).unwrap_or_default()
    }

    /// Where more data may be put; [`filled`](Self::filled) says how much was.
    pub fn room(&mut self) -> &mut [u8] {
        self.block.get_mut(self.end..).unwrap_or_default()
    }

    /// Adds the first `count` bytes of the room to the data.
    pub fn filled(&mut self, count: usize) {
        self.end = self.block.len().min(self.end.saturating_add(count));
    }

    /// Drops the first `count` bytes of the data.
    pub fn consume(&mut self, count: usize) {
        self.start = self.end.min(self.start.saturating_add(count));
    }

    /// Copies as much as there is room for, and says how much that was.
    pub fn append(&mut self, data: &[u8]) -> usize {
        let room = self.room();
        let count = room.len().min(data.len());
        room[..count].copy_from_slice(&data[..count]);
        self.filled(count);
        count
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let block = std::mem::take(&mut self.block);
        // A thread that ends has no pool any more, and the block goes its way.
        let _gone = POOL.try_with(|pool| {
            let mut pool = pool.borrow_mut();
            if pool.len() < KEPT {
                pool.push(block);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_what_was_put_in_and_not_yet_consumed() {
        let mut buffer = Buffer::borrow();
        assert_eq!(buffer.append(b"abcdef"), 6);
        buffer.consume(2);
        assert_eq!(buffer.data(), b"cdef");
        buffer.consume(100);
        assert_eq!(buffer.data(), b"");
    }

    #[test]
    fn no_more_is_taken_than_there_is_room_for() {
        let mut buffer = Buffer::borrow();
        assert_eq!(buffer.append(&vec![1; BLOCK + 5]), BLOCK);
        assert_eq!(buffer.append(b"x"), 0);
        buffer.filled(9);
        assert_eq!(buffer.data().len(), BLOCK);
    }

    #[test]
    fn a_block_comes_back() {
        let mut first = Buffer::borrow();
        first.append(b"mark");
        let address = first.block.as_ptr();
        drop(first);
        let second = Buffer::borrow();
        assert_eq!(second.block.as_ptr(), address);
        assert_eq!(second.data(), b"");
    }
}
