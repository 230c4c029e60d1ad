//! What happened in a simulated world, in order.

use std::fmt;

use crate::time::Instant;

use super::end::EndId;

/// One thing that happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    when: Instant,
    /// `None` for what concerns no end.
    end: Option<EndId>,
    what: &'static str,
    number: i64,
}

/// The record of a simulated world: every operation and every report, with the time on the virtual clock.
///
/// The same seed and the same program give the same trace, and two traces are the same exactly if their texts are.
#[derive(Clone, Debug, Default)]
pub struct Trace {
    entries: Vec<Entry>,
}

impl Trace {
    pub(super) fn add(&mut self, when: Instant, end: EndId, what: &'static str, number: usize) {
        let number = i64::try_from(number).unwrap_or(i64::MAX);
        self.entries.push(Entry { when, end: Some(end), what, number });
    }

    /// Adds a line of the world above, so that what a program did stands between what the world did.
    pub fn mark(&mut self, when: Instant, what: &'static str, number: i64) {
        self.entries.push(Entry { when, end: None, what, number });
    }

    /// How many things have happened.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing has happened.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The last lines, as text.
    #[must_use]
    pub fn tail(&self, lines: usize) -> String {
        let from = self.entries.len().saturating_sub(lines);
        Self { entries: self.entries[from..].to_vec() }.to_string()
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Entry { when, end, what, number } in &self.entries {
            match end {
                Some(end) => writeln!(f, "{:.9} {end} {what} {number}", when.as_secs())?,
                None => writeln!(f, "{:.9} -- {what} {number}", when.as_secs())?,
            }
        }
        Ok(())
    }
}
