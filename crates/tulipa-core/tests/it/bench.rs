//! A loop with a log: each turn runs what is due with the plainest possible program, and says what that was.

use tulipa_core::sim::{Faults, Seed, SimDriver};
use tulipa_core::{Nap, Read, Step, Token};

use crate::host::{Call, Calls, Owner, SimLoop, TestHost, new_loop};

pub(crate) struct Bench {
    pub(crate) lp: SimLoop,
    pub(crate) inbox: Calls,
    /// How much a read asks for.
    pub(crate) read_size: usize,
    /// The answer to the peer's end.
    pub(crate) keep_open: bool,
    /// Whether readable streams and datagram sockets are read.
    pub(crate) reads: bool,
    /// How often datagrams were asked for.
    pub(crate) receives: usize,
    /// Where a datagram was just delivered.
    delivered: Option<Token>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(Faults::none())
    }

    pub(crate) fn with(faults: Faults) -> Self {
        let (lp, inbox) = new_loop(SimDriver::new(Seed(1), faults));
        Self { lp, inbox, read_size: 1024, keep_open: false, reads: true, receives: 0, delivered: None }
    }

    pub(crate) fn sim(&mut self) -> &mut SimDriver {
        self.lp.driver()
    }

    /// As far as where the program's code runs: what is written from here on belongs to the turn.
    pub(crate) fn begin_turn(&mut self) {
        self.lp.collect(None);
    }

    /// One turn that does not wait.
    pub(crate) fn turn(&mut self) -> Vec<String> {
        self.turn_with(|_, _| ())
    }

    /// The same, with something done right after each step.
    pub(crate) fn turn_with(&mut self, mut then: impl FnMut(&mut SimLoop, &str)) -> Vec<String> {
        while self.lp.next_on_rounds().is_some() {}
        self.lp.timeout(None);
        self.lp.poll().unwrap();
        self.lp.collect(None);
        let mut log = Vec::new();
        while let Some(step) = self.lp.next() {
            let line = self.run(step);
            then(&mut self.lp, &line);
            if let Some(token) = self.delivered.take() {
                self.lp.receive_on(token);
            }
            log.push(line);
        }
        self.lp.flush();
        log
    }

    /// Turns until nothing is left to do, waiting where there is something to wait for.
    pub(crate) fn run_until_quiet(&mut self) -> Vec<String> {
        let mut log = Vec::new();
        for _ in 0..10_000 {
            while self.lp.next_on_rounds().is_some() {}
            let timeout = self.lp.timeout(None);
            let mut nap = self.lp.nap();
            let quiet = nap.sleep(timeout).is_err();
            self.lp.woken(nap);
            if quiet {
                return log;
            }
            log.extend(self.turn());
        }
        panic!("never quiet: {log:?}");
    }

    fn run(&mut self, step: Step<TestHost>) -> String {
        match step {
            Step::Call(Call(call)) => format!("call {call}"),
            Step::Started(token, Owner(owner)) => match self.lp.begin(token) {
                Ok(()) => format!("made {owner}"),
                Err(code) => format!("made {owner}, not begun: {}", code.0),
            },
            Step::Readable(token, Owner(owner)) => self.read(token, owner),
            Step::Acceptable(_, Owner(owner)) => format!("acceptable {owner}"),
            Step::Resume(_, Owner(owner)) => format!("resume {owner}"),
            Step::Drained(_, Owner(owner)) => format!("drained {owner}"),
            Step::SendFailed(_, Owner(owner), code) => format!("send failed {owner}: {}", code.0),
            Step::Lost(token, Owner(owner), code) => {
                assert_eq!(self.lp.release(token).and_then(|remains| remains.owner), Some(Owner(owner)));
                match code {
                    Some(code) => format!("lost {owner}: {}", code.0),
                    None => format!("lost {owner}"),
                }
            }
            Step::Retry(_, direction, waiter) => format!("retry {direction:?} {}", waiter.0),
            Step::WatchFailed(_, remains, code) => {
                format!("watch failed for {:?} and {:?}: {}", remains.callbacks, remains.waiters, code.0)
            }
        }
    }

    fn read(&mut self, token: Token, owner: u32) -> String {
        if !self.reads {
            return format!("readable {owner}");
        }
        let mut into = vec![0; self.read_size];
        if self.lp.is_datagram(token) {
            return self.receive(token, owner, &mut into);
        }
        match self.lp.read(token, &mut into) {
            Read::Data(count) => format!("data {owner}: {}", String::from_utf8_lossy(&into[..count])),
            Read::Eof => {
                self.lp.eof_answered(token, self.keep_open);
                format!("eof {owner}")
            }
            Read::Nothing => format!("nothing {owner}"),
            Read::Failed(code) => format!("failed {owner}: {}", code.0),
        }
    }

    fn receive(&mut self, token: Token, owner: u32, into: &mut [u8]) -> String {
        self.receives += 1;
        let received = self.lp.receive(token, into);
        self.delivered = (received != Ok(None)).then_some(token);
        match received {
            Ok(Some((count, _))) => format!("datagram {owner}: {}", String::from_utf8_lossy(&into[..count])),
            Ok(None) => format!("nothing {owner}"),
            Err(code) => format!("failed {owner}: {}", code.0),
        }
    }
}
