"""Where a loop is known to differ from what a test demands: the only list, with reasons.

Each entry is strict: a test that passes although it is listed here fails the run, so that the entry is taken off.
`tests/traps/test_index.py` checks that each entry still names a test.
"""

from __future__ import annotations

import asyncio.selector_events
import asyncio.sslproto
import inspect
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase


@dataclass(frozen=True)
class Difference:
    """`test` is `folder/file.py::name` below tests/, or `folder/file.py::name/parameters`.

    `on` is a pattern of backend names. What is `not_run` hangs, or fails by chance.
    """

    test: str
    on: str
    reason: str
    when: bool = True
    not_run: bool = False


V = sys.version_info
Stream = asyncio.selector_events._SelectorSocketTransport
Datagram = asyncio.selector_events._SelectorDatagramTransport
source_of = inspect.getsource
# Version numbers would not do for these: asyncio changed them between two patch releases.
CLOSES_REFUSED = "sock.close()" in source_of(asyncio.BaseEventLoop._create_connection_transport)
DROPS_FALSE_CHUNKS = "if data]" in source_of(Stream.writelines) or "if not data:" in source_of(Stream.writelines)
BUFFERS_ONE_BY_ONE = "self._buffer.append(memoryview" in source_of(Stream.writelines)

# What asyncio's own state machine of TLS does not do, and tulipa's does. `HANGS` would wait out the time limit.
FAILS: dict[str, str] = {
    "tls/test_certificates.py::test_the_refused_*": "asyncio sends no alert when its handshake fails",
    "tls/test_any_transport.py::*/documented methods": "asyncio asks transports for private names",
    "tls/test_any_transport.py::test_a_transport_that_knows_data_received_alone": "asyncio asks for private names",
    "tls/test_ends.py::test_a_transport_closed_twice_can_be_used_as_one_closed_once": "asyncio forgets its parts then",
    "tls/test_ends.py::test_a_peer_that_still_speaks_when_we_close": "asyncio reports OpenSSL's complaint about it",
    "tls/test_flow_control.py::test_the_size_of_one_large_write": "asyncio counts one layer of two",
    "tls/test_resources.py::test_an_idle_connection_is_small": "asyncio keeps 256 KiB for each connection",
    "tls/test_start_tls.py::test_what_was_written_plain_goes_out_plain_and_first": "asyncio never resumes its protocol",
    "tls/test_start_tls.py::test_a_protocol_whose_upgrade_*_hears_of_the_end": "asyncio tells it nothing",
}
if "_is_transport_closing" not in source_of(asyncio.sslproto):
    FAILS["tls/test_ends.py::test_a_peer_that_says_goodbye_and_reads_nothing_is_dropped_on_time"] = (
        "asyncio stops its clock at the goodbyes, before 3.14"
    )

HANGS: dict[str, str] = {
    "tls/test_flow_control.py::test_pausing_in_connection_made/client": "asyncio does not send its last flight",
    "tls/test_protocols.py::test_a_buffered_protocol_may_give_a_bytearray": "asyncio writes into a copy of its slice",
    "tls/test_start_tls.py::test_upgrading_a_closed_transport": "asyncio waits for ever, the time limit does not count",
}
if "stream_reader" not in source_of(asyncio.BaseEventLoop.start_tls):
    HANGS["tls/test_start_tls.py::test_a_stream_upgrades_with_bytes_in_its_buffer"] = "gh-142352: asyncio loses them"

DIFFERENCES: tuple[Difference, ...] = (
    *(Difference(test, "asyncio", reason) for test, reason in FAILS.items()),
    *(Difference(test, "asyncio", reason, not_run=True) for test, reason in HANGS.items()),
    *(
        Difference(
            f"loop/test_interrupts.py::{test}",
            "asyncio",
            "P8: asyncio sees a signal only when its wait ends, if that was not interrupted by it",
            not_run=True,
        )
        for test in (
            "test_an_interrupt_is_seen_whenever_it_comes",
            "test_an_interrupt_that_another_thread_takes_ends_the_wait",
            "test_what_a_signal_handler_schedules_runs_though_the_loop_sleeps",
        )
    ),
    *(
        Difference(
            test,
            "asyncio",
            "asyncio's own wait, in a thread up to 3.11, is beside the program's, and either may lose the status",
            not_run=True,
        )
        for test in (
            "process/test_reaping.py::test_a_child_whose_status_the_program_reads_itself",
            "process/test_reaping.py::test_a_status_that_is_read_through_popen_is_known",
        )
    ),
    *(
        Difference(
            test,
            "asyncio",
            "a child that was reaped before asyncio has opened its pidfd fails the start with ProcessLookupError",
            not_run=True,
        )
        for test in (
            "process/test_reaping.py::test_children_that_the_kernel_reaps",
            "process/test_reaping.py::test_a_handler_of_sigchld_that_reaps_all_it_finds",
        )
    ),
    Difference(
        "loop/test_watching.py::test_what_is_always_ready_*",
        "asyncio",
        "asyncio passes on that epoll refuses files and some devices",
    ),
    Difference(
        "stream/test_server.py::test_clients_can_be_closed_or_aborted",
        "asyncio",
        "T8: close_clients and abort_clients came with 3.13",
        when=V < (3, 13),
        not_run=True,
    ),
    Difference(
        "loop/test_lifecycle.py::test_running_a_*_is_refused",
        "asyncio",
        "CPython 3.13.0: a refused run resets the state of the outer one",
        when=V[:3] == (3, 13, 0),
        not_run=True,
    ),
    Difference(
        "loop/test_executor.py::test_shutdown_takes_its_timeout_by_position",
        "*",
        "CPython 3.12 waits for the threads whatever the timeout says, and the loop inherits it",
        when=V[:2] == (3, 12),
    ),
    Difference(
        "loop/test_fork.py::test_the_parents_traffic_survives_a_child_that_cleans_up",
        "asyncio",
        "asyncio's child shares the epoll instance with its parent, and unregisters there",
    ),
    Difference(
        "loop/test_fork.py::test_a_parent_with_signal_handlers_keeps_its_signals",
        "asyncio",
        "asyncio resets the wake-up descriptor in a child from 3.12 on",
        when=V < (3, 12),
    ),
    Difference(
        "loop/test_signals.py::test_a_foreign_wake_up_descriptor_still_hears_of_signals_that_the_loop_handles",
        "asyncio",
        "asyncio replaces the wake-up descriptor of others",
    ),
    Difference(
        "sockets/test_sock_connect.py::test_a_unix_connect_to_a_full_backlog_fails_or_waits",
        "asyncio",
        "asyncio takes EAGAIN for `in progress` and reports a connection that is not there",
    ),
    Difference(
        "sockets/test_sock_ownership.py::test_two_concurrent_*",
        "asyncio",
        "T35: the first of two operations on a socket is forgotten and hangs",
    ),
    Difference(
        "sockets/test_sock_ownership.py::test_recv_does_not_take_away_the_users_reader",
        "asyncio",
        "T35: `sock_recv` drops the reader of the program",
    ),
    *(
        Difference(f"sockets/test_sock_ownership.py::{test}", "asyncio", "T35: the waiter hangs")
        for test in (
            "test_closing_a_socket_under_a_waiter_*",
            "test_closing_ends_whoever_waits_in_either_direction",
            "test_closing_leaves_the_programs_callback_registered",
        )
    ),
    Difference(
        "sockets/test_sock_ownership.py::test_one_of_many_who_wait_is_noticed",
        "asyncio",
        "T35: the waiter hangs",
        not_run=True,
    ),
    Difference(
        "sockets/test_sock_ownership.py::test_a_transports_socket_is_refused_by_name",
        "asyncio",
        "asyncio looks for the transport only when the operation would block",
    ),
    Difference(
        "sockets/test_sock_streams.py::test_sendall_takes_any_buffer/array",
        "asyncio",
        "asyncio counts items for bytes and waits for ever",
        not_run=True,
    ),
    Difference(
        "datagram/test_udp.py::test_a_factory_that_raises_leaves_nothing_behind",
        "asyncio",
        "asyncio leaves the socket to the garbage collector",
    ),
    *(
        Difference(
            f"datagram/test_datagram_transport.py::{test}",
            "asyncio",
            "some CPythons (3.13.0) never take the headers of sent datagrams off the size",
            when="header" in source_of(Datagram.sendto) and "header" not in source_of(Datagram._sendto_ready),
        )
        for test in (
            "test_what_the_kernel_refuses_is_buffered_and_sent_in_order",
            "test_a_limit_of_zero_pauses_with_the_first_buffered_datagram",
        )
    ),
    Difference(
        "datagram/test_udp.py::test_empty_datagrams_are_sent",
        "asyncio",
        "asyncio drops empty datagrams before 3.12.3",
        when="if not data" in source_of(Datagram.sendto),
    ),
    Difference(
        "datagram/test_datagram_transport.py::test_its_types",
        "asyncio",
        "asyncio's datagram transport is a stream transport only, before 3.12",
        when=V < (3, 12),
    ),
    *(
        Difference(
            f"pipe/test_shared_descriptions.py::{test}",
            "asyncio",
            "P6: asyncio sets O_NONBLOCK on the description, for all who share it",
        )
        for test in (
            "test_*_leaves_the_flags_of_a_shared_pipe",
            "test_a_child_leaves_its_standard_streams_blocking",
        )
    ),
    Difference(
        "pipe/test_shared_descriptions.py::test_print_never_meets_a_full_pipe_as_an_error",
        "asyncio",
        "P6: asyncio sets O_NONBLOCK on the description; whether `print` meets a full pipe is chance",
        not_run=True,
    ),
    *(
        Difference(
            f"pipe/{test}",
            "asyncio",
            "P6: asyncio sets O_NONBLOCK on the description; what a neighbour meets, and when, is chance",
            not_run=True,
        )
        for test in (
            # The shell is such a neighbour.
            "test_terminals.py::*",
            "test_neighbours.py::test_a_*",
            "test_neighbours.py::test_two_programs_write_to_one_full_pipe",
        )
    ),
    Difference(
        "pipe/test_read_pipes.py::test_the_master_of_a_terminal_ends_when_the_child_is_gone",
        "asyncio",
        "T36: asyncio takes EIO for an error",
    ),
    *(
        Difference(
            f"pipe/test_read_pipes.py::{test}",
            "asyncio",
            "asyncio's half-made transport complains when it is freed",
        )
        for test in (
            "test_what_is_no_file_is_refused/number",
            "test_what_is_no_file_is_refused/text",
            "test_what_is_no_file_is_refused/object",
            "test_a_closed_file_is_a_value_error",
        )
    ),
    *(
        Difference(
            f"pipe/test_write_pipes.py::{test}",
            "asyncio",
            "asyncio ends a write pipe twice when it is aborted while it closes, and reports its own error",
        )
        for test in (
            "test_it_closes_the_file_object_once",
            "test_pause_writing_may_act_on_the_transport/abort",
        )
    ),
    Difference(
        "stream/test_flow_control.py::test_writelines_honours_the_marks",
        "asyncio",
        "CVE-2024-12254",
        when=V >= (3, 12) and "_maybe_pause_protocol" not in source_of(Stream.writelines),
    ),
    *(
        Difference(
            f"stream/test_writing.py::{test}",
            "asyncio",
            "T14: asyncio keeps views of what was written, from 3.12 on",
            when=V >= (3, 12),
        )
        for test in (
            "test_a_buffer_changed_after_write_is_sent_as_it_was/5000000-*",
            "test_a_bytearray_can_be_resized_right_after_write",
            "test_a_memoryview_can_be_released_right_after_write",
        )
    ),
    Difference(
        "stream/test_writing.py::test_writelines_after_close_is_dropped_without_an_error",
        "asyncio",
        "asyncio's writelines does not look whether the transport is closed, from 3.12 on",
        when=V >= (3, 12) and "_conn_lost" not in source_of(Stream.writelines),
    ),
    Difference(
        "stream/test_writing.py::test_writelines_of_something_else_is_a_type_error/[[]b'ok', None[]]",
        "asyncio",
        "asyncio's writelines skips whatever is false, from 3.14 on, None among it",
        when=DROPS_FALSE_CHUNKS,
    ),
    Difference(
        "stream/test_writing.py::test_writelines_with_an_iterator_that_raises_sends_nothing_or_the_beginning",
        "asyncio",
        "asyncio's writelines keeps what came before the error, and hangs with it, from 3.15 on",
        when=BUFFERS_ONE_BY_ONE,
        not_run=True,
    ),
    Difference(
        "stream/test_buffered_protocols.py::test_get_buffer_may_replace_the_protocol",
        "asyncio",
        "asyncio tells the wrong protocol of what came into the buffer",
    ),
    Difference(
        "stream/test_closing.py::test_without_cycles_no_collector_is_needed",
        "asyncio",
        "asyncio's socket transport keeps methods of its own before 3.12, a cycle",
        when=V < (3, 12),
    ),
    *(
        Difference(
            f"stream/test_contexts.py::{test}",
            "asyncio",
            "T18: asyncio follows the rule from 3.15 on",
            when=V < (3, 15),
        )
        for test in (
            "test_who_resumes_reading_does_not_leak_his_context",
            "test_each_accepted_connection_has_a_context_of_its_own",
            "test_a_task_started_in_a_protocol_inherits_the_connections_context",
        )
    ),
    Difference(
        "stream/test_nodelay.py::test_on_sockets_of_the_program/0",
        "asyncio",
        "T32: asyncio sets TCP_NODELAY by the number of the protocol",
    ),
    Difference(
        "stream/test_create_connection.py::test_two_transports_for_one_descriptor_are_refused_by_name",
        "asyncio",
        "G12: asyncio lets two transports share a descriptor, before 3.12; from 3.14 on it closes the refused socket, "
        "which the first transport still uses",
        when=V < (3, 12) or CLOSES_REFUSED,
    ),
    Difference(
        "stream/test_nodelay.py::test_on_connections_of_a_server_with_a_ready_made_socket",
        "asyncio",
        "T32: accepted sockets have their listener's protocol number",
    ),
    Difference(
        "stream/test_create_connection.py::test_a_factory_that_raises_leaves_nothing_behind",
        "asyncio",
        "asyncio leaves the socket to the garbage collector, before 3.14",
        not_run=True,
    ),
    Difference(
        "stream/test_sendfile.py::test_a_transport_closed_meanwhile_is_an_error",
        "asyncio",
        "asyncio's sendfile hangs when its transport is aborted",
    ),
    Difference(
        "stream/test_cancellation.py::test_create_connection_by_name_with_happy_eyeballs",
        "asyncio",
        "asyncio's race of addresses leaves sockets to the garbage collector",
        not_run=True,
    ),
    Difference(
        "stream/test_happy_eyeballs.py::test_cancelled_at_any_point_each_socket_is_closed_once",
        "asyncio",
        "asyncio's race of addresses leaves sockets to the garbage collector",
        not_run=True,
    ),
    *(
        Difference(
            f"stream/test_cancellation.py::{test}",
            "asyncio",
            "asyncio forgets the listening sockets when cancelled at its last await",
            not_run=True,
        )
        for test in ("test_create_server", "test_create_unix_server")
    ),
    Difference(
        "stream/test_tls.py::test_cancelling_during_the_handshake_leaves_nothing_behind/1",
        "asyncio",
        "asyncio forgets a connection that it accepted while its server closed",
        not_run=True,
    ),
    *(
        Difference(
            f"syscalls/test_echo.py::{test}",
            "asyncio",
            "asyncio allocates 256 KiB for each read, which is mapped and unmapped",
        )
        for test in (
            "test_a_message_costs_two_calls_and_its_share_of_a_poll/protocol",
            "test_a_message_that_wakes_a_task_costs_its_share_of_one_more_poll",
            "test_datagrams_cost_two_calls_each",
        )
    ),
    Difference(
        "stream/test_server.py::test_the_last_descriptor_is_gone",
        "asyncio",
        "asyncio sets a timer for each connection it might have taken; one that fires after the server's end fails",
        not_run=True,
    ),
    Difference(
        "stream/test_server.py::test_a_factory_that_raises_is_reported_and_the_server_goes_on",
        "asyncio",
        "asyncio leaves the accepted socket open, and the client waits",
        not_run=True,
    ),
    Difference(
        "stream/test_slow_reader.py::test_one_gigantic_write_arrives_whole_beside_a_ticker",
        "asyncio",
        "asyncio moves the rest of its buffer with each send, before 3.12",
        when=V < (3, 12),
        not_run=True,
    ),
    Difference(
        "loop/test_own_descriptors.py::*_may_be_closed",
        "asyncio",
        "asyncio takes the lowest free numbers, those of the standard streams included",
    ),
    Difference(
        "loop/test_own_descriptors.py::test_a_loop_that_cannot_get_descriptors_raises_oserror_and_leaves_nothing",
        "asyncio",
        "asyncio leaves the selector of a half-made loop behind",
    ),
)


def find(test: str, parameters: str, backend: str) -> Difference | None:
    """The entry for a test (`folder/file.py::name`) with its other parameters on a backend."""
    for entry in DIFFERENCES:
        if not entry.when or not fnmatchcase(backend, entry.on):
            continue
        if fnmatchcase(test, entry.test) or fnmatchcase(f"{test}/{parameters}", entry.test):
            return entry
    return None
