//! Bytes that wait to be written, in order.

use std::io::IoSlice;

use crate::queue::Queue;

/// How many chunks go into one write. Beyond a few dozen the kernel's copying dwarfs the call itself.
const SLICES_MAX: usize = 64;

/// A queue of chunks of which the first may be partly written.
#[derive(Debug)]
pub(crate) struct Outgoing<C> {
    chunks: Queue<C>,
    /// Bytes of the first chunk that are written already; less than its length.
    written: usize,
    /// Bytes not yet written, in all chunks.
    size: usize,
}

impl<C: AsRef<[u8]>> Outgoing<C> {
    pub(crate) const fn new() -> Self {
        Self { chunks: Queue::new(), written: 0, size: 0 }
    }

    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.size == 0
    }

    /// Adds a chunk; an empty one leaves no trace.
    pub(crate) fn push(&mut self, chunk: C) {
        let length = chunk.as_ref().len();
        if length > 0 {
            self.size += length;
            self.chunks.push_back(chunk);
        }
    }

    /// Shows the beginning of the queue to `write` as slices of `offered` bytes in all.
    pub(crate) fn with_slices<R>(&self, write: impl FnOnce(&[IoSlice<'_>], usize) -> R) -> R {
        if let Some(chunk) = self.chunks.front()
            && !self.chunks.has_rest()
        {
            // What a program writes in a turn is mostly one chunk, and filling the table costs more than the rest here.
            let bytes = &chunk.as_ref()[self.written..];
            return write(&[IoSlice::new(bytes)], bytes.len());
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut offered = 0;
        let mut used = 0;
        let mut skip = self.written;
        for (slice, chunk) in slices.iter_mut().zip(self.chunks.front().into_iter().chain(self.chunks.rest())) {
            let bytes = &chunk.as_ref()[skip..];
            skip = 0;
            offered += bytes.len();
            used += 1;
            *slice = IoSlice::new(bytes);
        }
        write(&slices[..used], offered)
    }

    /// Forgets the first `count` bytes, which are written.
    pub(crate) fn advance(&mut self, count: usize) {
        debug_assert!(count <= self.size, "a driver cannot write more than it was offered");
        let mut count = count.min(self.size);
        self.size -= count;
        while let Some(first) = self.chunks.front() {
            let left = first.as_ref().len() - self.written;
            if count < left {
                self.written += count;
                return;
            }
            count -= left;
            self.written = 0;
            self.chunks.pop_front();
        }
    }

    pub(crate) fn clear(&mut self) {
        self.chunks.clear();
        self.written = 0;
        self.size = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::Outgoing;

    #[test]
    fn any_partial_write_leaves_exactly_the_rest() {
        let text = b"onetwothree";
        for cut in 0..=text.len() {
            let mut outgoing = Outgoing::new();
            for chunk in [&b"one"[..], b"", b"two", b"three"] {
                outgoing.push(chunk);
            }
            outgoing.advance(cut);
            assert_eq!(outgoing.size(), text.len() - cut);
            let rest = outgoing.with_slices(|slices, offered| {
                let rest: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
                assert_eq!(rest.len(), offered);
                rest
            });
            assert_eq!(rest, &text[cut..]);
        }
    }
}
