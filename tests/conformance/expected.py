"""Where tulipa is known to differ from what `test.test_asyncio` checks, test by test, with the reason."""

from difference import Difference

#: Modules that never touch the loop under test, whichever it is: running them would only pad the numbers.
MODULES_LEFT_OUT = {
    "test_selector_events": "builds asyncio's own BaseSelectorEventLoop and its transports over mock sockets",
    "test_proactor_events": "builds asyncio's own BaseProactorEventLoop and its transports over mock sockets",
    "test_windows_events": "is about Windows completion ports; skips itself elsewhere",
    "test_windows_utils": "is about Windows pipes; skips itself elsewhere",
}

MOCK_SOCKETS = "puts mock sockets in place of real ones; no kernel can wait for a mock"
OWN_ACCEPT = "calls or replaces asyncio's private `_accept_connection` and `_add_reader`; tulipa accepts natively"
OWN_SIGNALS = (
    "replaces `asyncio.unix_events.signal` by a mock, or reads the private `_signal_handlers`; tulipa has its own"
)
OWN_SENDFILE = (
    "calls or replaces asyncio's private `_sock_sendfile_native_impl`; tulipa's loop around the call is another"
)
OWN_BIND = "replaces `asyncio.unix_events.socket` by a mock; tulipa binds Unix sockets itself"
OWN_TRANSPORT = "reads the private `_read_ready_cb` of asyncio's transport and replaces its `_sock`"
OWN_TURN = "replaces `_run_once` on the instance and reads `_selector`; tulipa's turn is native and has no selector"
NO_WATCHERS = (
    "mocks a child watcher or looks into asyncio's own; tulipa watches children by pidfd and never asks a watcher"
)

FILES_ARE_PIPES = (
    "wants a regular file refused; tulipa reads and writes it, as `< file` and `> file` make it a standard stream"
)

OWN_TLS = "replaces a method of asyncio's own `SSLProtocol`, which tulipa does not use"

_SELECTOR_LOOP = "test_base_events.BaseEventLoopWithSelectorTests."
_SIGNALS = "test_unix_events.SelectorEventLoopSignalTests."
_SENDFILE = "test_unix_events.SelectorEventLoopUnixSockSendfileTests."

DIFFERENCES = (
    Difference(
        MOCK_SOCKETS,
        (
            _SELECTOR_LOOP + "test_create_connection_ip_addr",
            _SELECTOR_LOOP + "test_create_connection_ipv6_scope",
            _SELECTOR_LOOP + "test_create_connection_no_inet_pton",
            _SELECTOR_LOOP + "test_create_connection_service_name",
            _SELECTOR_LOOP + "test_create_datagram_endpoint_ip_addr",
            _SELECTOR_LOOP + "test_create_server_soreuseport_only_defined",
        ),
    ),
    Difference(MOCK_SOCKETS, (_SELECTOR_LOOP + "test_create_connection_bluetooth",)),
    Difference(
        MOCK_SOCKETS, ("test_sslproto.SslProtoHandshakeTests.test_connection_lost_when_busy",), since=(3, 13, 1)
    ),
    Difference(OWN_ACCEPT, (_SELECTOR_LOOP + "test_accept_connection_retry",)),
    Difference(
        MOCK_SOCKETS,
        (
            "test_base_events.BaseEventLoopTests.test_create_connection_happy_eyeballs",
            "test_base_events.BaseEventLoopTests.test_create_connection_happy_eyeballs_ipv4_only",
        ),
        since=(3, 15),
    ),
    Difference(OWN_ACCEPT, (_SELECTOR_LOOP + "test_accept_connection_exception",)),
    Difference(
        FILES_ARE_PIPES,
        (
            "test_events.UnixPipeObjectSupportTests.test_read_regular_file",
            "test_events.UnixPipeObjectSupportTests.test_write_regular_file",
        ),
        since=(3, 14),
        on_purpose=True,
    ),
    Difference(
        OWN_SIGNALS,
        (
            _SIGNALS + "test_add_signal_handler_install_error",
            _SIGNALS + "test_add_signal_handler_install_error2",
            _SIGNALS + "test_add_signal_handler_install_error3",
            _SIGNALS + "test_add_signal_handler_setup_error",
            _SIGNALS + "test_close",
            _SIGNALS + "test_close_on_finalizing",
            _SIGNALS + "test_remove_signal_handler",
            _SIGNALS + "test_remove_signal_handler_2",
            _SIGNALS + "test_remove_signal_handler_error",
            _SIGNALS + "test_remove_signal_handler_error2",
        ),
    ),
    Difference(
        OWN_SENDFILE,
        (
            _SENDFILE + "test_sock_sendfile_blocking_error",
            _SENDFILE + "test_sock_sendfile_cancel1",
            _SENDFILE + "test_sock_sendfile_cancel2",
            _SENDFILE + "test_sock_sendfile_exception",
            _SENDFILE + "test_sock_sendfile_not_available",
            _SENDFILE + "test_sock_sendfile_os_error_first_call",
            _SENDFILE + "test_sock_sendfile_os_error_next_call",
        ),
    ),
    Difference(
        OWN_TRANSPORT,
        ("test_ssl.TestSSL.test_remote_shutdown_receives_trailing_data_on_slow_socket",),
        since=(3, 14),
        hangs=True,
    ),
    Difference(
        OWN_TLS,
        ("test_sslproto.SelectorStartTLSTests.test_create_connection_ssl_failed_certificate_no_cycles",),
        since=(3, 14),
    ),
    Difference(OWN_BIND, ("test_unix_events.SelectorEventLoopUnixSocketTests.test_create_unix_server_bind_error",)),
    Difference(
        OWN_TURN,
        (
            "test_events.EPollEventLoopTests.test_timeout_rounding",
            "test_events.PollEventLoopTests.test_timeout_rounding",
            "test_events.SelectEventLoopTests.test_timeout_rounding",
        ),
    ),
    Difference(
        NO_WATCHERS,
        ("test_subprocess.GenericWatcherTests.test_create_subprocess_fails_with_inactive_watcher",),
        before=(3, 14),
    ),
    Difference(
        NO_WATCHERS,
        (
            "test_subprocess.SubprocessPidfdWatcherTests.test_watcher_implementation",
            "test_subprocess.SubprocessThreadedWatcherTests.test_pid_not_reaped_before_exit_published",
            "test_subprocess.SubprocessThreadedWatcherTests.test_watcher_implementation",
        ),
        since=(3, 14),
    ),
)
