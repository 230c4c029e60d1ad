"""Where tulipa is known to differ from what uvloop's tests check, test by test, with the reason."""

from difference import Difference

#: Modules that say nothing about the loop in uvloop's place.
MODULES_LEFT_OUT = {
    "test_cython": "is about a coroutine that uvloop compiles with Cython",
    "test_fs_event": "is about `loop._monitor_fs`, a private method over libuv's file system events",
    "test_libuv_api": "is about pointers to libuv's own structures",
    "test_sourcecode": "runs flake8 and mypy on uvloop's sources",
}

DIFFERENCES: tuple[Difference, ...] = ()
