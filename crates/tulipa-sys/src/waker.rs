//! Ending a wait from another thread, through an eventfd.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{Errno, read, write};
use tulipa_core::{Code, Wake};

use crate::descriptor::above_stdio;
use crate::errno::{code, uninterrupted};

/// Wakes the driver that it came with, for as long as that lives; afterwards it does nothing.
#[derive(Clone, Debug)]
pub struct Waker(Arc<OwnedFd>);

impl Waker {
    pub(crate) fn new() -> Result<Self, Code> {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).and_then(above_stdio).map_err(code)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Takes back all wake-ups so far.
    pub(crate) fn drain(&self) {
        // EAGAIN means that there were none.
        let _ = uninterrupted(|| read(&self.0, &mut [0; 8]));
    }
}

impl Wake for Waker {
    fn wake(&self) {
        // Under epoll nobody reads the counter: it only ever grows, and each growth is an edge. It would be full after
        // 2^64 wake-ups, or when the program itself wrote to the descriptor.
        while uninterrupted(|| write(&self.0, &1_u64.to_ne_bytes())) == Err(Errno::AGAIN) {
            self.drain();
        }
    }
}

impl AsFd for Waker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::{read, write};
    use tulipa_core::Wake;

    use super::Waker;

    #[test]
    fn a_full_counter_does_not_block_the_waker() {
        let waker = Waker::new().expect("an eventfd");
        write(&waker, &(u64::MAX - 1).to_ne_bytes()).expect("room");
        waker.wake();
        let mut count = [0; 8];
        read(&waker, &mut count).expect("a wake-up");
        assert_eq!(u64::from_ne_bytes(count), 1);
    }
}
