//! The one clock's reading (G9).

use std::cmp::Ordering;

/// A moment on the loop's monotonic clock, in seconds since an origin that the driver chooses.
///
/// A float, because asyncio's deadlines are floats that programs compute with: `loop.call_at(loop.time() + x)` must
/// compare exactly as Python compares it. Ordered totally; callers refuse NaN before it gets here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Instant(f64);

impl Instant {
    /// The moment `seconds` after the origin.
    #[must_use]
    pub const fn from_secs(seconds: f64) -> Self {
        Self(seconds)
    }

    /// Seconds since the origin.
    #[must_use]
    pub const fn as_secs(self) -> f64 {
        self.0
    }

    /// This moment moved by `seconds`.
    #[must_use]
    pub fn after(self, seconds: f64) -> Self {
        Self(self.0 + seconds)
    }

    /// The next representable moment, at least `resolution` seconds later.
    ///
    /// A timer is due when its deadline lies before this. The second bound matters when the clock reads so large that
    /// adding the resolution changes nothing: a timer for "now" would otherwise never be due.
    #[must_use]
    pub fn end_of_tick(self, resolution: f64) -> Self {
        Self((self.0 + resolution).max(self.0.next_up()))
    }
}

impl PartialEq for Instant {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Instant {}

impl PartialOrd for Instant {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Instant {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

#[cfg(test)]
mod tests {
    use super::Instant;

    #[test]
    fn a_tick_ends_after_it_began_however_large_the_clock_reads() {
        for now in [0.0, 1.0, 1e9, 1e18] {
            let now = Instant::from_secs(now);
            assert!(now.end_of_tick(1e-9) > now);
        }
    }
}
