from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.load import Load, LoadError, percentile
from bench.process import ServerProcess, ServerStartError

REQUESTS = tuple(
    b"POST /%d HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\n" % number for number in range(500)
)


@pytest.fixture(scope="module")
def sink(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("sink") / "log"
    server = ServerProcess.start(("-m", "bench.servers.sink"), core=0, log=log)
    yield server
    server.stop()


@pytest.fixture(scope="module")
def floor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    log = tmp_path_factory.mktemp("floor") / "log"
    server = ServerProcess.start(("-m", "bench.servers.floor", "--body-bytes", "7"), core=0, log=log)
    yield server
    server.stop()


def test_a_closed_loop_sends_each_request_once_and_waits_for_every_answer(sink: ServerProcess) -> None:
    heard = Load(sink.port, REQUESTS, None).closed_loop(8, warm_s=0.0, turn_s=60.0)
    assert heard.sent == len(REQUESTS)
    assert heard.body_bytes == len(REQUESTS) * len("ok")
    assert heard.refused == heard.misplaced == 0


def test_answers_with_another_status_or_a_body_where_none_is_due_are_counted(
    sink: ServerProcess, floor: ServerProcess
) -> None:
    without_body = tuple(number % 10 != 0 for number in range(len(REQUESTS)))
    heard = Load(sink.port, REQUESTS, without_body).closed_loop(8, warm_s=0.0, turn_s=60.0)
    assert heard.misplaced == len(REQUESTS) // 10
    heard = Load(floor.port, REQUESTS, None).closed_loop(8, warm_s=0.0, turn_s=60.0)
    assert heard.refused == len(REQUESTS)  # no such address there


def test_the_floor_answers_as_many_bytes_as_it_was_told(floor: ServerProcess) -> None:
    requests = (b"POST /callback/app HTTP/1.1\r\nHost: b\r\nContent-Length: 2\r\n\r\nhi",) * 50
    heard = Load(floor.port, requests, (True,) * 50).closed_loop(4, warm_s=0.0, turn_s=60.0)
    assert (heard.refused, heard.misplaced, heard.body_bytes) == (0, 0, 7 * 50)


def test_an_open_loop_measures_every_request_that_was_due_even_with_one_connection(
    sink: ServerProcess,
) -> None:
    loads = [Load(sink.port, REQUESTS, None, cycle=True) for _ in range(2)]
    one, many = (
        load.open_loop(connections, rate=1000, warm_s=0.0, turn_s=0.3, seed="same")
        for load, connections in zip(loads, (1, 20), strict=True)
    )
    assert len(one.latencies_s) == len(many.latencies_s) == one.sent == many.sent > 100
    assert min(one.latencies_s) > 0


def test_a_server_that_falls_silent_is_given_up(sink: ServerProcess) -> None:
    sink.pause()
    try:
        with pytest.raises(LoadError, match="silent"):
            Load(sink.port, REQUESTS, None, silence_limit_s=0.2).open_loop(
                2, rate=1000, warm_s=0.0, turn_s=0.1, seed="any"
            )
    finally:
        sink.go_on()


@given(st.lists(st.floats(allow_nan=False), min_size=1), st.sampled_from([0.5, 0.9, 0.99, 0.999]))
def test_a_percentile_is_the_smallest_value_that_enough_others_do_not_exceed(
    values: list[float], share: float
) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert sum(value <= found for value in values) >= share * len(values)
    assert sum(value < found for value in values) < share * len(values)


def test_a_server_that_ends_at_once_is_reported_with_the_end_of_its_log(tmp_path: Path) -> None:
    with pytest.raises(ServerStartError, match="unrecognized arguments: --no-such-option"):
        ServerProcess.start(("-m", "bench.servers.floor", "--no-such-option"), 0, tmp_path / "log")
