//! A bounded number of threads for calls that block, such as the look-up of a name or a read from a disk.
//!
//! 1. A question waits until a thread is free. Threads are started when questions wait, up to the limit, and end when
//!    they have had nothing to do for a while: a program that asks nothing has no thread of ours, and may fork.
//! 2. Each question comes with a ticket, which is kept until the answer is there and is then delivered with it.
//!    Whoever [cancels](Pool::cancel) gets the ticket back; the answer, if one still comes, is dropped. Whoever
//!    [withdraws](Pool::withdraw) gets it back only if the question has not been begun and never will be.
//! 3. A ticket is dropped by the world above only, never on a thread of the pool.
//! 4. [`Pool::close`] gives all tickets back. What a thread is doing then cannot be stopped; it ends when that ends.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use std::{io, thread};

use crate::signals::block_signals;

/// One question, in one pool.
pub type Id = u64;

/// What the threads are called, how many there may be, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The name of the threads, as `/proc`, `top -H` and debuggers show it.
    pub name: &'static str,
    /// The most threads at one time.
    pub threads: usize,
    /// How long a thread waits for a question before it ends.
    pub idle: Duration,
}

type Work<Q, A> = dyn Fn(Q) -> A + Send + Sync;
type Deliver<A, T> = dyn Fn(T, A) + Send;

/// Threads that answer questions `Q` with `A` to the holders of tickets `T`. Does nothing when dropped: see
/// [`close`](Self::close).
pub struct Pool<Q, A, T> {
    shared: Arc<Shared<Q, A, T>>,
}

struct Shared<Q, A, T> {
    state: Mutex<State<Q, A, T>>,
    /// A question waits for an idle thread, or the pool was closed.
    wanted: Condvar,
    work: Box<Work<Q, A>>,
    limits: Limits,
}

struct State<Q, A, T> {
    waiting: VecDeque<(Id, Q)>,
    /// Of questions that wait or are being answered.
    tickets: HashMap<Id, T>,
    threads: usize,
    idle: usize,
    last: Id,
    /// Gone when the pool is closed.
    deliver: Option<Box<Deliver<A, T>>>,
}

impl<Q, A, T> Pool<Q, A, T>
where
    Q: Send + 'static,
    A: 'static,
    T: Send + 'static,
{
    /// A pool without a thread. `work` and `deliver` are called on its threads: `work` may block; `deliver` must not,
    /// and must not call the pool, and drops nothing that the world above cares about.
    pub fn new(
        limits: Limits,
        work: impl Fn(Q) -> A + Send + Sync + 'static,
        deliver: impl Fn(T, A) + Send + 'static,
    ) -> Self {
        let state = State {
            waiting: VecDeque::new(),
            tickets: HashMap::new(),
            threads: 0,
            idle: 0,
            last: 0,
            deliver: Some(Box::new(deliver)),
        };
        Self {
            shared: Arc::new(Shared { state: Mutex::new(state), wanted: Condvar::new(), work: Box::new(work), limits }),
        }
    }

    /// Has a question answered. A closed pool gives the ticket back, and so does one for which the system has not a
    /// single thread, with its reason.
    ///
    /// # Errors
    /// The system's, when it refuses the only thread.
    pub fn ask(&self, question: Q, ticket: T) -> Result<Id, (io::Error, T)> {
        let mut state = self.shared.lock();
        if state.deliver.is_none() {
            return Err((io::Error::other("the pool was closed"), ticket));
        }
        if state.waiting.len() >= state.idle && state.threads < self.shared.limits.threads {
            match self.start_thread() {
                Ok(()) => state.threads += 1,
                // Those that there are will come to it.
                Err(_) if state.threads > 0 => {}
                Err(refused) => return Err((refused, ticket)),
            }
        }
        state.last += 1;
        let id = state.last;
        state.waiting.push_back((id, question));
        state.tickets.insert(id, ticket);
        drop(state);
        self.shared.wanted.notify_one();
        Ok(id)
    }

    /// Forgets a question and gives its ticket back; `None` if the answer has been delivered, or nobody asked.
    pub fn cancel(&self, id: Id) -> Option<T> {
        let mut state = self.shared.lock();
        let ticket = state.tickets.remove(&id)?;
        state.waiting.retain(|(waiting, _)| *waiting != id);
        Some(ticket)
    }

    /// Forgets a question that no thread has begun with, and gives its ticket back; `None` if one has.
    pub fn withdraw(&self, id: Id) -> Option<T> {
        let mut state = self.shared.lock();
        let place = state.waiting.iter().position(|(waiting, _)| *waiting == id)?;
        state.waiting.remove(place);
        state.tickets.remove(&id)
    }

    /// Forgets all questions, gives their tickets back and takes no more. Nothing is delivered after this has returned.
    pub fn close(&self) -> Vec<T> {
        let mut state = self.shared.lock();
        let deliver = state.deliver.take();
        state.waiting.clear();
        let tickets = state.tickets.drain().map(|(_, ticket)| ticket).collect();
        // Telling nobody costs a system call as well.
        let any_idle = state.idle > 0;
        drop(state);
        drop(deliver);
        if any_idle {
            self.shared.wanted.notify_all();
        }
        tickets
    }

    fn start_thread(&self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        thread::Builder::new().name(shared.limits.name.to_owned()).spawn(move || shared.serve()).map(drop)
    }
}

impl<Q, A, T> Shared<Q, A, T> {
    fn lock(&self) -> MutexGuard<'_, State<Q, A, T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The life of a thread.
    fn serve(&self) {
        block_signals();
        let mut state = self.lock();
        loop {
            if let Some((id, question)) = state.waiting.pop_front() {
                drop(state);
                let answer = (self.work)(question);
                state = self.lock();
                state.land(id, answer);
                continue;
            }
            if state.deliver.is_none() {
                break;
            }
            state.idle += 1;
            let (woken, waited) =
                self.wanted.wait_timeout(state, self.limits.idle).unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.waiting.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

impl<Q, A, T> State<Q, A, T> {
    /// Delivers an answer, unless nobody waits for it any more.
    fn land(&mut self, id: Id, answer: A) {
        // Under the lock: when `cancel` or `close` have returned, nothing more is delivered.
        if let Some(deliver) = &self.deliver
            && let Some(ticket) = self.tickets.remove(&id)
        {
            deliver(ticket, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Barrier, Mutex};
    use std::thread::{self, ThreadId};
    use std::time::Duration;

    use super::{Limits, Pool};

    const LONG: Duration = Duration::from_secs(600);
    /// How long a test waits for what must happen.
    const PATIENCE: Duration = Duration::from_secs(20);

    /// A pool whose work waits until it is let go, one question at a time.
    struct Held {
        pool: Pool<u32, u32, &'static str>,
        begun: Receiver<(u32, ThreadId)>,
        go_on: Sender<()>,
        delivered: Receiver<(&'static str, u32)>,
    }

    fn held(threads: usize, idle: Duration) -> Held {
        let (begin, begun) = channel();
        let (go_on, wait) = channel::<()>();
        let (deliver, delivered) = channel();
        let wait = Mutex::new(wait);
        let work = move |question: u32| {
            let _ = begin.send((question, thread::current().id()));
            let _ = wait.lock().map(|wait| wait.recv());
            question * 10
        };
        let pool = Pool::new(Limits { name: "held", threads, idle }, work, move |ticket, answer| {
            let _ = deliver.send((ticket, answer));
        });
        Held { pool, begun, go_on, delivered }
    }

    #[test]
    fn answers_come_with_their_tickets() {
        let held = held(1, LONG);
        for (question, ticket) in [(1, "one"), (2, "two"), (3, "three")] {
            held.pool.ask(question, ticket).expect("a thread");
            held.go_on.send(()).expect("the work goes on");
        }
        for expected in [("one", 10), ("two", 20), ("three", 30)] {
            assert_eq!(held.delivered.recv_timeout(PATIENCE), Ok(expected), "one thread keeps the order");
        }
    }

    #[test]
    fn there_are_as_many_threads_as_questions_up_to_the_limit() {
        let held = held(3, LONG);
        for question in 0..20 {
            held.pool.ask(question, "").expect("a thread");
        }
        let threads: HashSet<ThreadId> =
            (0..3).map(|_| held.begun.recv_timeout(PATIENCE).expect("three at a time").1).collect();
        assert_eq!(threads.len(), 3);
        assert_eq!(held.pool.shared.lock().threads, 3);
        assert_eq!(held.pool.shared.lock().waiting.len(), 17);
        for _ in 0..20 {
            held.go_on.send(()).expect("the work goes on");
            held.delivered.recv_timeout(PATIENCE).expect("an answer");
        }
        assert_eq!(held.pool.shared.lock().threads, 3, "no more were needed");
    }

    #[test]
    fn an_idle_thread_takes_the_next_question() {
        let held = held(8, LONG);
        let mut threads = HashSet::new();
        for question in 0..5 {
            held.pool.ask(question, "").expect("a thread");
            threads.insert(held.begun.recv_timeout(PATIENCE).expect("a beginning").1);
            held.go_on.send(()).expect("the work goes on");
            held.delivered.recv_timeout(PATIENCE).expect("an answer");
            // Idle from the moment on when it has the lock again.
            while held.pool.shared.lock().idle == 0 {
                thread::yield_now();
            }
        }
        assert_eq!(threads.len(), 1);
    }

    #[test]
    fn threads_end_when_there_is_nothing_to_do() {
        let held = held(4, Duration::ZERO);
        held.pool.ask(1, "").expect("a thread");
        held.go_on.send(()).expect("the work goes on");
        held.delivered.recv_timeout(PATIENCE).expect("an answer");
        while held.pool.shared.lock().threads > 0 {
            thread::yield_now();
        }
        held.pool.ask(2, "again").expect("another thread");
        held.go_on.send(()).expect("the work goes on");
        assert_eq!(held.delivered.recv_timeout(PATIENCE), Ok(("again", 20)));
    }

    #[test]
    fn what_is_cancelled_while_it_waits_is_never_begun() {
        let held = held(1, LONG);
        held.pool.ask(1, "first").expect("a thread");
        assert_eq!(held.begun.recv_timeout(PATIENCE).expect("a beginning").0, 1);
        let second = held.pool.ask(2, "second").expect("it waits");
        held.pool.ask(3, "third").expect("it waits");
        assert_eq!(held.pool.cancel(second), Some("second"));
        assert_eq!(held.pool.cancel(second), None, "the ticket is given back once");
        for _ in 0..2 {
            held.go_on.send(()).expect("the work goes on");
        }
        assert_eq!(held.delivered.recv_timeout(PATIENCE), Ok(("first", 10)));
        assert_eq!(held.begun.recv_timeout(PATIENCE).expect("a beginning").0, 3);
        assert_eq!(held.delivered.recv_timeout(PATIENCE), Ok(("third", 30)));
    }

    #[test]
    fn only_what_is_not_begun_can_be_withdrawn() {
        let held = held(1, LONG);
        let first = held.pool.ask(1, "first").expect("a thread");
        held.begun.recv_timeout(PATIENCE).expect("a beginning");
        let second = held.pool.ask(2, "second").expect("it waits");
        assert_eq!(held.pool.withdraw(first), None);
        assert_eq!(held.pool.withdraw(second), Some("second"));
        assert_eq!(held.pool.withdraw(second), None, "the ticket is given back once");
        held.pool.ask(3, "third").expect("it waits");
        for _ in 0..2 {
            held.go_on.send(()).expect("the work goes on");
        }
        for expected in [("first", 10), ("third", 30)] {
            assert_eq!(held.delivered.recv_timeout(PATIENCE), Ok(expected));
        }
    }

    #[test]
    fn an_answer_that_nobody_waits_for_is_dropped() {
        let held = held(1, LONG);
        let first = held.pool.ask(1, "first").expect("a thread");
        held.begun.recv_timeout(PATIENCE).expect("a beginning");
        assert_eq!(held.pool.cancel(first), Some("first"));
        held.pool.ask(2, "second").expect("it waits");
        for _ in 0..2 {
            held.go_on.send(()).expect("the work goes on");
        }
        assert_eq!(held.delivered.recv_timeout(PATIENCE), Ok(("second", 20)));
        assert!(held.delivered.try_recv().is_err());
    }

    #[test]
    fn closing_gives_every_ticket_back_and_ends_the_threads() {
        let Held { pool, begun, go_on, delivered } = held(1, LONG);
        pool.ask(1, "begun").expect("a thread");
        begun.recv_timeout(PATIENCE).expect("a beginning");
        pool.ask(2, "waiting").expect("it waits");
        let mut tickets = pool.close();
        tickets.sort_unstable();
        assert_eq!(tickets, ["begun", "waiting"]);
        assert_eq!(pool.ask(3, "late").map_err(|(_, ticket)| ticket), Err("late"));
        // The delivery was dropped with the pool's consent, although a thread is still at work.
        assert!(delivered.recv_timeout(PATIENCE).is_err());
        go_on.send(()).expect("the work goes on");
        while pool.shared.lock().threads > 0 {
            thread::yield_now();
        }
        assert!(pool.close().is_empty());
    }

    #[test]
    fn every_ticket_is_delivered_or_given_back_once() {
        const ASKED: usize = 2000;
        let delivered = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&delivered);
        let pool = Arc::new(Pool::new(
            Limits { name: "count", threads: 4, idle: Duration::ZERO },
            |question: usize| question,
            move |ticket: usize, answer| {
                assert_eq!(ticket, answer);
                count.fetch_add(1, Ordering::SeqCst);
            },
        ));
        let start = Arc::new(Barrier::new(2));
        let asking = thread::spawn({
            let (pool, start) = (Arc::clone(&pool), Arc::clone(&start));
            move || {
                start.wait();
                (0..ASKED).filter(|&n| pool.ask(n, n).is_ok_and(|id| n % 3 == 0 && pool.cancel(id).is_some())).count()
            }
        });
        start.wait();
        let cancelled = asking.join().expect("no panic");
        while pool.shared.lock().threads > 0 {
            thread::yield_now();
        }
        assert_eq!(cancelled + delivered.load(Ordering::SeqCst), ASKED);
        assert!(pool.shared.lock().tickets.is_empty());
    }
}
