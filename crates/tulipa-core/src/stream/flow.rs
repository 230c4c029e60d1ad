//! Water marks: when a writer is told to pause, and when to go on.

use crate::driver::Driver;
use crate::host::Host;

use super::{Effects, Stream};

/// asyncio's default high-water mark, in bytes.
const HIGH_DEFAULT: usize = 64 * 1024;

/// The marks and whether the writer has been told to pause.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WaterMarks {
    /// More than this many bytes pause the writer.
    pub(crate) high: usize,
    /// This many or fewer let a paused writer go on.
    pub(crate) low: usize,
    paused: bool,
}

impl WaterMarks {
    pub(crate) const DEFAULT: Self = Self { high: HIGH_DEFAULT, low: HIGH_DEFAULT / 4, paused: false };

    /// Whether the writer must be told to pause now; says so once until [`WaterMarks::falls`].
    pub(crate) const fn rises(&mut self, size: usize) -> bool {
        if size > self.high && !self.paused {
            self.paused = true;
            return true;
        }
        false
    }

    /// Whether a paused writer may be told to go on now; says so once until [`WaterMarks::rises`].
    pub(crate) const fn falls(&mut self, size: usize) -> bool {
        if size <= self.low && self.paused {
            self.paused = false;
            return true;
        }
        false
    }

    /// Whether the writer has been told to pause.
    pub(crate) const fn is_paused(&self) -> bool {
        self.paused
    }

    pub(crate) const fn set(&mut self, high: usize, low: usize) {
        self.high = high;
        self.low = low;
    }
}

impl<D: Driver, H: Host> Stream<D, H> {
    pub(crate) const fn marks(&self) -> (usize, usize) {
        (self.marks.low, self.marks.high)
    }

    pub(crate) const fn is_writing_paused(&self) -> bool {
        self.marks.is_paused()
    }

    /// Sets the marks; `true` if the writer must be told to pause. Only what the world refuses counts (rule 2).
    pub(crate) fn set_marks(&mut self, driver: &mut D, high: usize, low: usize) -> (bool, Effects) {
        self.marks.set(high, low);
        let passed = self.outgoing.size() > high;
        let effects = if passed { self.flush(driver) } else { Effects::default() };
        (!self.is_lost() && self.marks.rises(self.outgoing.size()), effects)
    }
}

#[cfg(test)]
mod tests {
    use super::WaterMarks;

    #[test]
    fn pausing_and_resuming_alternate() {
        let mut marks = WaterMarks::DEFAULT;
        marks.set(10, 5);
        assert!(!marks.rises(10), "the mark itself is still dry");
        assert!(!marks.falls(0), "was never paused");
        assert!(marks.rises(11));
        assert!(!marks.rises(12));
        assert!(!marks.falls(6));
        assert!(marks.falls(5));
        assert!(!marks.falls(0));
    }
}
