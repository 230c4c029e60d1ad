//! What the fuzz targets share. Each target is a program of its own in `fuzz_targets/`, with its invariant on top.

pub mod openssl;
