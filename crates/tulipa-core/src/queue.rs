//! A queue that mostly holds one thing or nothing.

use std::collections::VecDeque;
use std::collections::vec_deque::Iter;

/// First in, first out. The first is in the queue itself, so that thousands of queues that never hold a second one
/// allocate nothing.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    /// Nothing only if there is nothing behind it, either.
    first: Option<T>,
    /// Made for the first thing that has to wait behind another, and kept from then on.
    #[expect(clippy::box_collection, reason = "a pointer instead of four words in each queue")]
    rest: Option<Box<VecDeque<T>>>,
}

impl<T> Queue<T> {
    pub(crate) const fn new() -> Self {
        Self { first: None, rest: None }
    }

    #[inline]
    pub(crate) fn push_back(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.get_or_insert_default().push_back(value);
        }
    }

    #[inline]
    pub(crate) const fn front(&self) -> Option<&T> {
        self.first.as_ref()
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<T> {
        let next = self.rest.as_mut().and_then(|rest| rest.pop_front());
        std::mem::replace(&mut self.first, next)
    }

    /// What comes behind the first.
    #[inline]
    pub(crate) fn rest(&self) -> Iter<'_, T> {
        self.rest.as_ref().map(|rest| rest.iter()).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn has_rest(&self) -> bool {
        self.rest.as_ref().is_some_and(|rest| !rest.is_empty())
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::new();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::Queue;

    proptest! {
        #[test]
        fn it_is_a_queue(acts in prop::collection::vec(any::<Option<u8>>(), 0..100)) {
            let mut queue = Queue::new();
            let mut model = VecDeque::new();
            for act in acts {
                match act {
                    Some(value) => {
                        queue.push_back(value);
                        model.push_back(value);
                    }
                    None => prop_assert_eq!(queue.pop_front(), model.pop_front()),
                }
                prop_assert_eq!(queue.front(), model.front());
                prop_assert_eq!(queue.has_rest(), model.len() > 1);
                let all: Vec<_> = queue.front().into_iter().chain(queue.rest()).collect();
                prop_assert_eq!(all, model.iter().collect::<Vec<_>>());
            }
            queue.clear();
            prop_assert_eq!(queue.front(), None);
            prop_assert!(!queue.has_rest());
        }
    }
}
