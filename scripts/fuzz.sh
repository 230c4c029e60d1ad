#!/usr/bin/env bash
# Fuzzes: scripts/fuzz.sh [SECONDS [TARGET...]], each target for so long (60 s; all targets). What is found goes on
# being used, in target/fuzz/found; an input that breaks an invariant is kept as target/fuzz/TARGET-crash-*, and given
# to the target's program as an argument it is run alone.
#
# The instrumentation is what `cargo fuzz run --sanitizer none` asks the compiler for, without the nightly toolchain
# that sanitizers need; the folder has cargo-fuzz's layout, for whoever has one.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-60}
targets=("${@:2}")
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <(cd fuzz/fuzz_targets && basename -s .rs -- *.rs)

passes=(-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares)
host=$(rustc -vV | sed -n 's/^host: //p')
# With a target named, the flags are not for build scripts.
CARGO_TARGET_DIR=target/fuzz RUSTFLAGS="--cfg fuzzing ${passes[*]}" \
    cargo build --quiet --release ${CI:+--locked} --manifest-path fuzz/Cargo.toml --target "$host" --bins

for target in "${targets[@]}"; do
    echo "== $target"
    mkdir -p "target/fuzz/found/$target"
    "target/fuzz/$host/release/$target" -max_total_time="$seconds" -len_control=0 -max_len=2000 -print_final_stats=1 \
        -verbosity=0 -artifact_prefix="target/fuzz/$target-" "target/fuzz/found/$target" "fuzz/corpus/$target"
done
