"""Which test holds which trap: what real libraries rely on, by number."""

from __future__ import annotations

TRAPS: dict[str, tuple[str, ...]] = {
    "T1": ("stream/test_tls.py::test_what_the_transport_tells", "stream/test_tls.py::test_alpn"),
    "T2": (
        "stream/test_transport_types.py::test_it_is_an_asyncio_transport",
        "datagram/test_datagram_transport.py::test_its_types",
        "pipe/test_read_pipes.py::test_the_transport_is_a_read_transport",
        "pipe/test_write_pipes.py::test_the_transport_is_a_write_transport",
        "process/test_subprocess.py::test_the_transport_tells_about_the_child",
    ),
    "T3": ("stream/test_transport_types.py::test_its_socket_is_a_transport_socket",),
    "T4": (
        "stream/test_transport_types.py::test_its_addresses",
        "stream/test_transport_types.py::test_addresses_of_the_sixth_version_have_four_parts",
        "stream/test_transport_types.py::test_unknown_information_is_none_or_the_default",
    ),
    "T5": (
        "loop/test_handles.py::test_call_later_and_call_at_return_an_asyncio_timer_handle",
        "loop/test_handles.py::test_timers_are_ordered_by_deadline",
        "loop/test_handles.py::test_a_stranger_can_make_handles_for_the_loop",
        "loop/test_handles.py::test_a_handle_has_the_attributes_that_tools_read",
    ),
    "T6": ("loop/test_attributes.py::test_a_loop_is_an_asyncio_base_event_loop",),
    "T7": (
        "loop/test_tasks.py::test_a_task_takes_name_and_context",
        "loop/test_tasks.py::test_eager_start_is_passed_on_where_python_knows_it",
    ),
    "T8": (
        "stream/test_server.py::test_it_is_an_asyncio_server",
        "stream/test_server.py::test_clients_can_be_closed_or_aborted",
        "stream/test_server.py::test_cleaning_up_a_unix_socket_can_be_declined",
    ),
    "T9": (
        "loop/test_private_names.py::test_ready_and_scheduled_can_be_looked_at",
        "loop/test_private_names.py::test_transports_can_be_found_by_descriptor",
        "loop/test_private_names.py::test_run_once_runs_one_turn",
    ),
    "T10": (
        "loop/test_private_names.py::test_the_root_task_is_recognised_by_asyncios_own_callback",
        "loop/test_private_names.py::test_stream_writers_tell_whether_their_protocol_is_paused",
    ),
    "T11": (
        "stream/test_tls.py::test_start_tls_upgrades_both_ends",
        "stream/test_tls.py::test_start_tls_of_streams_keeps_what_the_reader_had",
        "stream/test_buffered_protocols.py::test_set_protocol_changes_the_kind",
        "stream/test_transport_types.py::test_private_flags_that_libraries_read",
    ),
    "T12": (
        "loop/test_executor.py::test_shutdown_takes_its_timeout_by_position",
        "loop/test_executor.py::test_the_default_executor_can_be_set_to_a_thread_pool_only",
        "loop/test_executor.py::test_threads_of_the_default_executor_are_named_asyncio",
    ),
    "T13": (
        "stream/test_writing.py::test_write_after_close_is_dropped_without_an_error",
        "stream/test_writing.py::test_write_after_a_lost_connection_warns_from_the_fifth_time",
    ),
    "T14": (
        "stream/test_writing.py::test_a_buffer_changed_after_write_is_sent_as_it_was",
        "stream/test_writing.py::test_a_bytearray_can_be_resized_right_after_write",
    ),
    "T15": (
        "stream/test_flow_control.py::test_writelines_honours_the_marks",
        "stream/test_flow_control.py::test_writing_is_paused_synchronously_and_resumed",
        "datagram/test_datagram_transport.py::test_a_limit_of_zero_pauses_with_the_first_buffered_datagram",
    ),
    "T16": (
        "loop/test_turn_order.py::test_ready_callbacks_then_input_then_timers",
        "loop/test_turn_order.py::test_stop_finishes_the_batch_and_nothing_more",
    ),
    "T17": (
        "loop/test_overridden_time.py::test_timers_obey_a_replaced_clock",
        "loop/test_timers.py::test_time_is_the_monotonic_clock",
        "loop/test_timers.py::test_negative_delays_run_in_order_of_deadline",
    ),
    "T18": (
        "stream/test_contexts.py::test_each_accepted_connection_has_a_context_of_its_own",
        "stream/test_contexts.py::test_who_resumes_reading_does_not_leak_his_context",
    ),
    "T19": (
        "loop/test_watching.py::test_a_transports_descriptor_is_refused_by_name",
        "loop/test_watching.py::test_the_refused_registration_leaves_no_trace",
        "loop/test_watching.py::test_a_second_reader_replaces_the_first",
        "sockets/test_sock_ownership.py::test_a_transports_socket_is_refused_by_name",
    ),
    "T20": (
        "stream/test_cancellation.py::test_the_pattern_of_aiohappyeyeballs",
        "stream/test_happy_eyeballs.py::test_cancelled_at_any_point_each_socket_is_closed_once",
    ),
    "T21": (
        "names/test_answers.py::test_every_combination_gives_what_the_socket_module_gives",
        "names/test_answers.py::test_a_zone_becomes_the_fourth_part_of_the_address",
    ),
    "T22": (
        "process/test_subprocess.py::test_the_end_comes_after_all_output",
        "process/test_subprocess.py::test_callbacks_of_a_subprocess_protocol_come_in_order",
    ),
    "T23": (
        "loop/test_runners.py::test_a_runner_leaves_a_custom_interrupt_handler_alone",
        "loop/test_signals.py::test_a_foreign_wake_up_descriptor_is_left_as_found",
        "loop/test_signals.py::test_sigchld_may_be_handled_by_the_program",
    ),
    "T24": (
        "loop/test_fork.py::test_a_child_sees_no_running_loop",
        "loop/test_fork.py::test_the_parents_traffic_survives_a_child_that_cleans_up",
        "loop/test_fork.py::test_the_childs_copy_of_a_loop_says_that_it_is_dead",
    ),
    "T25": (
        "pipe/test_read_pipes.py::test_it_closes_the_file_object_once",
        "pipe/test_write_pipes.py::test_it_closes_the_file_object_once",
    ),
    "T26": (
        "loop/test_garbage.py::test_an_unclosed_transport_warns",
        "loop/test_debug.py::test_a_slow_callback_is_reported_with_its_name_and_time",
    ),
    "T27": (
        "stream/test_sendfile.py::test_pending_writes_come_first_and_later_ones_last",
        "stream/test_sendfile.py::test_over_tls_it_falls_back_or_refuses",
    ),
    "T29": (
        "loop/test_runners.py::test_install_makes_asyncio_run_use_tulipa",
        "loop/test_runners.py::test_the_policy_is_a_deprecated_attribute_where_python_has_policies",
    ),
    "T32": (
        "stream/test_nodelay.py::test_on_sockets_of_the_program",
        "stream/test_nodelay.py::test_on_connections_of_a_server_with_a_ready_made_socket",
    ),
    "T33": (
        "process/test_children.py::test_sigchld_belongs_to_the_program",
        "loop/test_signals.py::test_a_foreign_wake_up_descriptor_still_hears_of_signals_that_the_loop_handles",
    ),
    "T35": (
        "sockets/test_sock_ownership.py::test_two_concurrent_recv_are_queued_or_refused",
        "sockets/test_sock_ownership.py::test_two_concurrent_sendall_do_not_mix",
        "sockets/test_sock_ownership.py::test_recv_does_not_take_away_the_users_reader",
        "sockets/test_sock_ownership.py::test_closing_a_socket_under_a_waiter_wakes_it_or_refuses_the_number",
    ),
    "T36": ("pipe/test_read_pipes.py::test_the_master_of_a_terminal_ends_when_the_child_is_gone",),
    "T37": (
        "loop/test_own_descriptors.py::test_standard_input_may_be_closed",
        "loop/test_own_descriptors.py::test_all_three_standard_descriptors_may_be_closed",
    ),
    "T39": (
        "loop/test_attributes.py::test_attributes_can_be_set_on_transports_and_servers",
        "loop/test_attributes.py::test_a_subclass_may_add_and_override",
        "stream/test_transport_types.py::test_its_write_can_be_replaced",
    ),
    "T40": ("loop/test_tasks.py::test_a_factory_gets_only_what_the_caller_gave",),
    "T41": (
        "loop/test_signals.py::test_a_signal_between_two_runs_is_delivered_at_the_next",
        "loop/test_signals.py::test_the_wake_up_descriptor_is_only_taken_by_add_signal_handler",
    ),
    "T42": (
        "stream/test_server.py::test_it_is_an_asyncio_server",
        "loop/test_watching.py::test_removal_tells_whether_there_was_one",
        "process/test_subprocess.py::test_the_transport_tells_about_the_child",
    ),
    "T43": (
        "stream/test_tls.py::test_data_before_the_peers_shutdown_are_delivered",
        "stream/test_tls.py::test_a_handshake_callback_that_raises_leaves_both_ends_closed_once",
    ),
    "T44": ("loop/test_watching.py::test_integers_and_objects_with_fileno_are_taken",),
    "T45": ("stream/test_server.py::test_wait_closed_waits_for_connections",),
    "T46": (
        "stream/test_buffered_protocols.py::test_a_method_that_raises_closes_and_is_reported",
        "datagram/test_udp.py::test_a_host_name_as_address_of_sendto_is_no_crash",
        "badinput/test_random_programs.py::test_a_random_program_survives",
    ),
}

ELSEWHERE: dict[str, str] = {
    "T28": "the white-box tests of CPython are listed in tests/conformance",
    "T30": "who can be told which loop to use is a matter of documentation and of `tulipa run`",
    "T31": "the free-threaded build is tested on a free-threaded Python",
    "T34": "Trio's guest mode belongs to the tests with neighbours",
    "T38": "green tasks come later; that real threads stay real is tested in loop/test_executor.py",
}
