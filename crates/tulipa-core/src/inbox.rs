//! Calls from other threads.

use crate::sync::{AtomicBool, Mutex, Ordering, PoisonError};

/// Wakes a loop that sleeps in [`Nap::sleep`](crate::Nap::sleep). May be called from any thread, at any time, and more
/// often than needed.
pub trait Wake: Send + Sync {
    /// Ends the present wait, or the next one if none is under way.
    fn wake(&self);
}

/// A queue that any thread may push into and the loop alone empties.
///
/// The waker is called only for a loop that sleeps or is about to, and once for each such sleep. No wake-up can be
/// lost: a push raises `pending` and then looks at `asleep`, the loop raises `asleep` and then looks at `pending`; in
/// the one order of all four that both threads agree on, at least one of the two sees the other.
#[derive(Debug)]
pub struct Inbox<T> {
    queue: Mutex<Vec<T>>,
    /// Something was pushed since the loop last took.
    pending: AtomicBool,
    /// The loop sleeps, or has decided to.
    asleep: AtomicBool,
}

impl<T> Default for Inbox<T> {
    fn default() -> Self {
        Self { queue: Mutex::new(Vec::new()), pending: AtomicBool::new(false), asleep: AtomicBool::new(false) }
    }
}

impl<T> Inbox<T> {
    /// Adds one item and wakes the loop if it sleeps.
    pub fn push(&self, item: T, waker: &impl Wake) {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        self.pending.store(true, Ordering::SeqCst);
        self.rouse(waker);
    }

    /// Whether the loop sleeps, or has decided to, and nobody has woken it yet.
    #[inline]
    pub fn is_asleep(&self) -> bool {
        self.asleep.load(Ordering::SeqCst)
    }

    /// Wakes the loop if it sleeps and nobody has woken it yet.
    pub fn rouse(&self, waker: &impl Wake) {
        if self.asleep.swap(false, Ordering::SeqCst) {
            waker.wake();
        }
    }

    /// Whether something waits. A `false` may be out of date by the time it is read; whoever pushed then wakes the
    /// loop from its next sleep.
    #[inline]
    pub fn is_pending(&self) -> bool {
        self.pending.load(Ordering::SeqCst)
    }

    /// Takes everything, in the order of the pushes.
    pub fn take(&self) -> Vec<T> {
        // Lowered before the queue is emptied: a push between the two raises it again and costs a vain look, where
        // the other order would leave its item unseen.
        self.pending.store(false, Ordering::SeqCst);
        std::mem::take(&mut *self.queue.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Announces a sleep. `false` means that something waits already and the loop must not sleep.
    pub fn falls_asleep(&self) -> bool {
        self.asleep.store(true, Ordering::SeqCst);
        if self.is_pending() {
            self.wakes_up();
            return false;
        }
        true
    }

    /// Announces the end of a sleep.
    pub fn wakes_up(&self) {
        self.asleep.store(false, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::{Inbox, Wake};

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(&self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn only_a_sleeping_loop_is_woken_and_only_once() {
        let (inbox, waker) = (Inbox::default(), Count::default());
        inbox.push(0, &waker);
        assert_eq!(waker.0.load(Ordering::SeqCst), 0, "a loop that runs looks by itself");
        assert!(!inbox.falls_asleep(), "something waits");
        assert_eq!(inbox.take(), [0]);
        assert!(inbox.falls_asleep());
        for item in 1..100 {
            inbox.push(item, &waker);
        }
        assert_eq!(waker.0.load(Ordering::SeqCst), 1);
        inbox.wakes_up();
        assert_eq!(inbox.take(), (1..100).collect::<Vec<_>>());
        assert!(!inbox.is_pending());
    }

    #[test]
    fn nothing_is_lost_or_reordered_between_threads() {
        let (inbox, waker) = (Arc::new(Inbox::default()), Arc::new(Count::default()));
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let (inbox, waker) = (Arc::clone(&inbox), Arc::clone(&waker));
                std::thread::spawn(move || (0..1000).for_each(|n| inbox.push((thread, n), &*waker)))
            })
            .collect();
        let mut seen = [0; 4];
        while seen.iter().sum::<i32>() < 4000 {
            for (thread, n) in inbox.take() {
                assert_eq!(n, seen[thread], "thread {thread} out of order");
                seen[thread] += 1;
            }
            std::thread::yield_now();
        }
        for thread in threads {
            assert!(thread.join().is_ok());
        }
    }
}
