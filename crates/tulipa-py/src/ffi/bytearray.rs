//! The bytes of a `bytearray`, put in at its end and taken out at its front.

use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};

/// From this size on, in bytes, the C library may have a block mapped for itself, and resizing one has the kernel move its
/// pages. So such arrays grow to the next power of two: CPython adds an eighth, which is less than one read brings. And they
/// do not shrink to less, but are left to be freed: glibc then takes the next block of that size from memory that it keeps,
/// where one that had shrunk would have to be mapped again.
pub(crate) const LARGE: usize = 128 * 1024;

/// How much memory an array of this length has, in bytes, if it is a large one. There is an eighth to spare at least:
/// glibc keeps twice the largest block that it saw freed, which holds the array and the copy that somebody gets of it.
const fn room_for(length: usize) -> usize {
    length.saturating_add(length / 8).next_power_of_two()
}

/// What `array.extend(data)` does. Runs no Python code.
///
/// # Errors
/// `BufferError` while somebody holds the array's memory, `MemoryError`.
#[inline]
pub(crate) fn append(array: &Bound<'_, PyByteArray>, data: &[u8]) -> PyResult<()> {
    let before = array.len();
    let after = before + data.len();
    let room = room_for(after);
    if after >= LARGE && room > room_for(before) {
        // Shrinking to more than half of it keeps the memory. If there is not that much, less may do.
        drop(array.resize(room));
    }
    array.resize(after)?;
    // SAFETY: attached; the array has just been made long enough, `data` is not its memory (nobody else's of ours is
    // Python's), and nothing runs in between.
    unsafe {
        let memory = ffi::PyByteArray_AsString(array.as_ptr()).cast::<u8>();
        ptr::copy_nonoverlapping(data.as_ptr(), memory.add(before), data.len());
    }
    Ok(())
}

/// What `bytes(array[:count])` and `array[count:]` give; `count` beyond the end means all.
pub(crate) fn split<'py>(
    array: &Bound<'py, PyByteArray>,
    count: usize,
) -> (Bound<'py, PyBytes>, Bound<'py, PyByteArray>) {
    let py = array.py();
    // SAFETY: attached; making the two copies runs no Python code, so nobody changes or resizes the array meanwhile.
    let (taken, rest) = unsafe { array.as_bytes() }.split_at(count.min(array.len()));
    (PyBytes::new(py, taken), PyByteArray::new(py, rest))
}

/// What `bytes(array[:count])` and `del array[:count]` do; `count` beyond the end means all.
///
/// # Errors
/// `BufferError` while somebody holds the array's memory, `MemoryError`; the array is whole then.
#[inline]
pub(crate) fn take_front<'py>(array: &Bound<'py, PyByteArray>, count: usize) -> PyResult<Bound<'py, PyBytes>> {
    let py = array.py();
    let count = count.min(array.len());
    // SAFETY: attached; so many bytes are there, and are copied before anything else runs.
    let taken = unsafe { PyBytes::new(py, &array.as_bytes()[..count]) };
    if count == array.len() {
        array.resize(0)?;
    } else {
        // SAFETY: attached; the object is alive.
        let result = unsafe { ffi::PySequence_DelSlice(array.as_ptr(), 0, count.cast_signed()) };
        if result < 0 {
            return Err(PyErr::fetch(py));
        }
    }
    Ok(taken)
}
