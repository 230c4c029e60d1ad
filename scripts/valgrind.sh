#!/usr/bin/env bash
# Runs the tests of tulipa-core, tulipa-sys and tulipa-tls under valgrind's memcheck: no read of what was never written,
# nothing used after it was freed, nothing definitely lost. A hundredth of the seeded worlds, since each instruction
# costs fifty; TULIPA_WORLDS and VALGRIND_SECONDS (the limit for each test program) say otherwise.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "no valgrind on PATH; on Debian: apt-get install valgrind" >&2; exit 1; }
# valgrind 3.19 runs no other thread while one waits in a ring.
export TULIPA_LEAVE_OUT=io_uring
export TULIPA_WORLDS=${TULIPA_WORLDS:-20} PROPTEST_CASES=${PROPTEST_CASES:-8}

mapfile -t programs < <(
    cargo test --no-run --message-format=json ${CI:+--locked} -p tulipa-core -p tulipa-sys -p tulipa-tls |
        sed -n 's/.*"executable":"\([^"]*\)".*/\1/p'
)
# The kernel under valgrind 3.19 has no pidfd_open, and no clone but for threads and forks, as children are made here.
skipped=(--skip files::a_process_that_ends_is_reported --skip children::)
failed=0
for program in "${programs[@]}"; do
    echo "== $(basename "$program")"
    timeout "${VALGRIND_SECONDS:-600}" valgrind --quiet --error-exitcode=99 --suppressions=scripts/valgrind.supp \
        --leak-check=full --show-leak-kinds=definite --errors-for-leak-kinds=definite --num-callers=30 \
        "$program" --quiet --test-threads=1 "${skipped[@]}" || failed=1
done
exit "$failed"
