"""Where tulipa differs from what uvloop's tests check, test by test, with the reason why asyncio's behaviour is right.

asyncio's own loop fails each of them as well: the run sees to it, save for those that hang, which do not run, and those
that are marked `on_purpose`. Where asyncio's behaviour depends on the version, so does the entry.
"""

from difference import Difference

#: Modules that say nothing about the loop in uvloop's place.
MODULES_LEFT_OUT = {
    "test_cython": "is about a coroutine that uvloop compiles with Cython",
    "test_fs_event": "is about `loop._monitor_fs`, a private method over libuv's file system events",
    "test_libuv_api": "is about pointers to libuv's own structures",
    "test_sourcecode": "runs flake8 and mypy on uvloop's sources",
}

# -- what uvloop is inside ------------------------------------------------------------------

UVLOOPS_OWN_NAME = "wants the threads of the default executor named after uvloop"
UVLOOPS_OWN_DESCRIPTORS = "counts the `os.dup`, `os.pipe` and `os.close` that uvloop makes to spawn a child"
UVLOOPS_OWN_SLEEP = "hands uvloop's private `__uvloop_sleep_after_fork` on to what spawns"
UVLOOPS_OWN_POLLER = "asks for libuv's epoll descriptor by the private `_get_backend_id`"
UVLOOPS_OWN_SOCKET = (
    "asks for `uvloop.PseudoSocket`, by its text and by the socket's methods that it lacks; `get_extra_info('socket')` "
    "is documented as asyncio's `TransportSocket`"
)
UVLOOPS_OWN_TLS = "looks up `get_extra_info('uvloop.sslproto')` and pauses it by hand"

# -- what asyncio documents otherwise -------------------------------------------------------

DUCK_TYPED_BUFFERS = (
    "wants the buffer of any protocol that has a `get_buffer`; asyncio documents that such a protocol inherits "
    "`BufferedProtocol`, and calls `data_received` on all others"
)
ABORTED_SOCKET = (
    "wants no socket of a transport that `connection_made` aborted; asyncio hands out the closed one, as the test says "
    "itself"
)
SIGCHLD_IS_FREE = (
    "wants `add_signal_handler(SIGCHLD)` refused, since libuv needs it; asyncio documents no such limit, and SIGCHLD "
    "is the program's"
)
NO_REUSE_ADDRESS = "passes `reuse_address` to `create_datagram_endpoint`; asyncio took the argument out in 3.11"
DATAGRAM_WORDS = (
    "wants other words in the error for a stream socket where a datagram socket is due; the type is the same"
)
NAMES_IN_SENDTO = (
    "wants `ValueError` from `sendto` to a name or to another family; asyncio leaves both to `socket.sendto`, which "
    "looks names up, and passes its errors to `error_received`"
)
KEPT_OPEN = (
    "wants a socket that the program closes to stay open while a `sock_*` operation is under way; with asyncio it is "
    "closed when the program closes it"
)
ANY_FACTORY = "wants `TypeError` from `run` given a `loop_factory` of another loop; `asyncio.run` takes any factory"
EAGER_START = "calls `loop.create_task(eager_start=...)`, which asyncio takes from 3.13.3 on"

NAME_OF_TASK = (
    "wants the loop to call `set_name` of a task that a factory made, unless the loop's class is in asyncio's modules; "
    "asyncio hands the name to the factory from 3.14 on"
)
CONTEXT_OF_WRITE = (
    "wants `pause_writing` in the connection's context; asyncio calls it from within `write`, in the caller's"
)
# -- TLS ------------------------------------------------------------------------------------

TLS_EOF_WHILE_PAUSED = (
    "wants `eof_received` while reading is paused; with asyncio the end comes in its order, after the data that waits "
    "for `resume_reading`"
)
TLS_CLOSED_AFTER_RESUME = (
    "wants what came while reading was paused to be lost when `close` follows `resume_reading` in one turn; asyncio "
    "delivers it"
)
# -- what tulipa has otherwise, on purpose -------------------------------------------------

CLOSING_WAKES = (
    "wants a `sock_recv` to wait on when the program closes its socket, as on asyncio; closing wakes whoever waits"
)

_TCP = "test_tcp.Test_UV_TCP."
_TLS = "test_tcp.Test_UV_TCPSSL."
_CONTEXT = "test_context.Test_UV_Context."
_SOCKETS = "test_sockets.TestUVSockets."
_UDP = "test_udp.Test_UV_UDP."
_PROCESS = "test_process.Test_UV_Process"

DIFFERENCES = (
    Difference(
        UVLOOPS_OWN_NAME,
        ("test_base.TestBaseUV.test_thread_name_prefix_in_default_executor",),
    ),
    Difference(UVLOOPS_OWN_DESCRIPTORS, (_PROCESS + ".test_process_double_close",)),
    Difference(
        UVLOOPS_OWN_SLEEP,
        (
            _PROCESS + "_Delayed.test_process_delayed_stdio__paused__no_stdin",
            _PROCESS + "_Delayed.test_process_delayed_stdio__paused__stdin_pipe",
        ),
    ),
    Difference(UVLOOPS_OWN_POLLER, (_SOCKETS + "test_socket_sync_remove",)),
    Difference(UVLOOPS_OWN_SOCKET, (_SOCKETS + "test_pseudosocket",)),
    Difference(UVLOOPS_OWN_TLS, (_TLS + "test_flush_before_shutdown",)),
    Difference(
        DUCK_TYPED_BUFFERS,
        (
            _TCP + "test_create_server_buffered_1",
            _TCP + "test_create_server_buffered_2",
            "test_unix.Test_UV_Unix.test_epollhup",
        ),
    ),
    Difference(DUCK_TYPED_BUFFERS, (_TLS + "test_start_tls_client_buf_proto_1",), hangs=True),
    Difference(ABORTED_SOCKET, (_TCP + "test_tcp_handle_abort_in_connection_made",)),
    Difference(SIGCHLD_IS_FREE, ("test_signals.Test_UV_Signals.test_signals_no_SIGCHLD",)),
    Difference(
        NO_REUSE_ADDRESS,
        (
            _UDP + "test_create_datagram_endpoint_reuse_address_error",
            _UDP + "test_create_datagram_endpoint_reuse_address_warning",
        ),
    ),
    Difference(DATAGRAM_WORDS, (_UDP + "test_create_datagram_endpoint_wrong_sock",), since=(3, 11, 8), before=(3, 12)),
    Difference(DATAGRAM_WORDS, (_UDP + "test_create_datagram_endpoint_wrong_sock",), since=(3, 12, 2)),
    Difference(NAMES_IN_SENDTO, (_UDP + "test_udp_sendto_dns",)),
    Difference(
        KEPT_OPEN,
        (
            _SOCKETS + "test_socket_close_loop_and_close",
            _SOCKETS + "test_socket_recv_and_close",
            _SOCKETS + "test_socket_recv_into_and_close",
        ),
    ),
    Difference(KEPT_OPEN, (_SOCKETS + "test_socket_connect_and_close",), hangs=True),
    Difference(ANY_FACTORY, ("test_runner.TestSourceCode.test_uvloop_run_2",)),
    Difference(
        EAGER_START,
        (
            "test_base.TestBaseAIO.test_loop_create_task_eager_start",
            "test_base.TestBaseUV.test_loop_create_task_eager_start",
        ),
        since=(3, 13),
        before=(3, 13, 3),
    ),
    Difference(
        NAME_OF_TASK,
        ("test_base.TestBaseAIO.test_set_task_name", "test_base.TestBaseUV.test_set_task_name"),
        since=(3, 14),
    ),
    Difference(CONTEXT_OF_WRITE, (_CONTEXT + "test_create_connection_protocol",)),
    Difference(TLS_EOF_WHILE_PAUSED, (_TLS + "test_shutdown_timeout_handler_not_set",), hangs=True),
    Difference(TLS_CLOSED_AFTER_RESUME, (_CONTEXT + "test_create_ssl_server_manual_connection_lost",)),
    Difference(CLOSING_WAKES, (_SOCKETS + "test_socket_cancel_sock_recv_2",), on_purpose=True),
)
