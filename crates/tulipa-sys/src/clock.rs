//! The monotonic clock, read exactly as Python's `time.monotonic()` reads it, so that the two compare.

use std::sync::OnceLock;

use rustix::time::{ClockId, Timespec, clock_getres, clock_gettime};
use tulipa_core::Instant;

const NANOS: f64 = 1e9;

/// The clock's reading.
#[must_use]
pub fn now() -> Instant {
    Instant::from_secs(to_secs(now_nanos()))
}

/// The clock's granularity, in seconds.
#[must_use]
pub fn resolution() -> f64 {
    // Unlike the time itself, this takes a system call, and the loop asks in each turn.
    static RESOLUTION: OnceLock<f64> = OnceLock::new();
    *RESOLUTION.get_or_init(|| {
        let resolution = clock_getres(ClockId::Monotonic);
        to_secs(resolution.tv_sec * 1_000_000_000 + resolution.tv_nsec)
    })
}

pub(crate) fn now_nanos() -> i64 {
    let time = clock_gettime(ClockId::Monotonic);
    time.tv_sec * 1_000_000_000 + time.tv_nsec
}

#[expect(clippy::cast_precision_loss, reason = "what Python does: below a microsecond after a century of uptime")]
fn to_secs(nanos: i64) -> f64 {
    nanos as f64 / NANOS
}

/// The longest wait that is passed to the kernel, in nanoseconds: a day. A longer one ends early, which nobody can
/// tell from a wait that a signal ended.
const WAIT_MAX: f64 = 86_400.0 * NANOS;

/// A timeout in nanoseconds, rounded up so that a timer never finds itself early. What is not a positive number is zero.
#[expect(clippy::cast_possible_truncation, reason = "clamped to a day")]
pub(crate) fn to_nanos(seconds: f64) -> i64 {
    if seconds > 0.0 { (seconds * NANOS).ceil().min(WAIT_MAX) as i64 } else { 0 }
}

pub(crate) const fn timespec(nanos: i64) -> Timespec {
    Timespec { tv_sec: nanos / 1_000_000_000, tv_nsec: nanos % 1_000_000_000 }
}

#[cfg(test)]
mod tests {
    use super::{now, resolution, to_nanos};

    #[test]
    fn the_clock_moves_on() {
        let before = now();
        assert!(now() >= before);
        assert!(resolution() > 0.0 && resolution() < 0.1);
    }

    #[test]
    fn timeouts_are_rounded_up_and_bounded() {
        assert_eq!(to_nanos(1e-10), 1);
        assert_eq!(to_nanos(1.5), 1_500_000_000);
        assert_eq!(to_nanos(f64::INFINITY), 86_400_000_000_000);
        for nothing in [0.0, -1.0, f64::NAN, f64::NEG_INFINITY] {
            assert_eq!(to_nanos(nothing), 0);
        }
    }
}
