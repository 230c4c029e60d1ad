//! The books of pollers that the kernel keeps none for, and edges made of levels.
//!
//! 1. A level-triggered direction is asked for at each wait.
//! 2. An edge-triggered direction is *armed* when it is registered (reading) or after a vain or short attempt, and
//!    disarmed by its report. Armed directions alone are asked for, so a report comes once for each vain attempt.
//! 3. Whoever changed its registration while a wait was under way is not told what that wait found.
//! 4. An end that will be reported whatever is asked for is reported once for each time that the entry is armed.

use std::os::fd::RawFd;

use slab::Slab;
use tulipa_core::{Completion, Interest, Token, Trigger};

/// What a wait found out about one descriptor.
#[derive(Clone, Copy, Debug)]
pub(super) struct Finding {
    pub(super) readable: bool,
    pub(super) writable: bool,
    pub(super) hangup: bool,
    /// The number is not open.
    pub(super) closed: bool,
}

#[derive(Debug)]
struct Entry {
    fd: RawFd,
    token: Token,
    interest: Interest,
    read: bool,
    write: bool,
    /// Its end was reported (rule 4).
    ended: bool,
}

/// One descriptor to ask about.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    pub(super) key: usize,
    pub(super) token: Token,
    pub(super) fd: RawFd,
    pub(super) read: bool,
    pub(super) write: bool,
}

#[derive(Debug, Default)]
pub(super) struct Table {
    entries: Slab<Entry>,
    reports: Vec<Completion>,
    /// How many of `reports` were given out.
    taken: usize,
}

impl Table {
    pub(super) fn insert(&mut self, fd: RawFd, token: Token, interest: Interest, write_blocked: bool) -> usize {
        let entry = Entry { fd, token, interest, read: false, write: false, ended: false };
        let key = self.entries.insert(entry);
        self.set(key, token, interest, write_blocked);
        key
    }

    pub(super) fn set(&mut self, key: usize, token: Token, interest: Interest, write_blocked: bool) {
        if let Some(entry) = self.entries.get_mut(key) {
            let level = interest.trigger == Trigger::Level;
            entry.token = token;
            entry.interest = interest;
            entry.read = interest.read;
            entry.write = interest.write && (level || write_blocked);
            entry.ended = false;
        }
    }

    pub(super) fn remove(&mut self, key: usize) {
        self.entries.try_remove(key);
    }

    pub(super) fn arm_read(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.read = entry.interest.read;
            entry.ended = false;
        }
    }

    pub(super) fn arm_write(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.write = entry.interest.write;
            entry.ended = false;
        }
    }

    /// What to ask about. An edge-triggered entry with nothing armed is among it, to learn of its end.
    pub(super) fn questions(&self) -> impl Iterator<Item = Question> {
        self.entries.iter().filter_map(|(key, entry)| {
            let Entry { fd, token, interest, read, write, ended } = *entry;
            let asks = read || write || interest.trigger == Trigger::Edge;
            (asks && !ended).then_some(Question { key, token, fd, read, write })
        })
    }

    /// Takes note of an answer.
    pub(super) fn answer(&mut self, question: Question, finding: Finding) {
        let Some(entry) = self.entries.get_mut(question.key) else { return };
        let unchanged = entry.token == question.token && entry.fd == question.fd;
        let end = finding.hangup || finding.closed;
        let readable = finding.readable && entry.read || end;
        let writable = finding.writable && entry.write || end;
        if !unchanged || !(readable || writable) {
            return;
        }
        if entry.interest.trigger == Trigger::Edge {
            entry.read &= !readable;
            entry.write &= !writable;
            entry.ended |= end;
        }
        entry.ended |= finding.closed;
        self.reports.push(Completion { token: entry.token, readable, writable, hangup: end });
    }

    pub(super) fn next(&mut self) -> Option<Completion> {
        let report = self.reports.get(self.taken).copied();
        if report.is_some() {
            self.taken += 1;
        } else {
            self.reports.clear();
            self.taken = 0;
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use tulipa_core::{Interest, Token, Trigger};

    use super::{Finding, Question, Table};

    const EDGE: Interest = Interest { read: true, write: true, trigger: Trigger::Edge };
    const READ: Finding = Finding { readable: true, writable: false, hangup: false, closed: false };
    const BOTH: Finding = Finding { writable: true, ..READ };
    const HANGUP: Finding = Finding { hangup: true, ..READ };

    fn token(bits: u64) -> Token {
        Token::from_bits(bits)
    }

    fn only(table: &Table) -> Question {
        let mut questions = table.questions();
        let question = questions.next().expect("one question");
        assert!(questions.next().is_none());
        question
    }

    #[test]
    fn an_edge_is_reported_once_for_each_vain_attempt() {
        let mut table = Table::default();
        let key = table.insert(5, token(1), EDGE, false);
        for _ in 0..3 {
            assert!(only(&table).read);
            table.answer(only(&table), BOTH);
            assert!(table.next().is_some_and(|report| report.readable && !report.writable));
            table.answer(only(&table), BOTH);
            assert_eq!(table.next(), None);
            table.arm_read(key);
        }
        table.arm_write(key);
        table.answer(only(&table), BOTH);
        assert!(table.next().is_some_and(|report| report.readable && report.writable));
    }

    #[test]
    fn an_end_is_reported_once() {
        let mut table = Table::default();
        let key = table.insert(5, token(1), EDGE, false);
        table.answer(only(&table), HANGUP);
        assert!(table.next().is_some_and(|report| report.readable && report.writable && report.hangup));
        assert_eq!(table.questions().count(), 0);
        table.arm_read(key);
        assert_eq!(table.questions().count(), 1);
    }

    #[test]
    fn a_wait_that_was_overtaken_by_a_change_says_nothing() {
        let mut table = Table::default();
        let key = table.insert(5, token(1), EDGE, false);
        let question = only(&table);
        table.remove(key);
        table.answer(question, READ);
        assert_eq!(table.insert(6, token(2), EDGE, false), key, "the place is used again");
        table.answer(question, READ);
        assert_eq!(table.next(), None);
    }
}
