from __future__ import annotations

import pytest

from bench.send_rate import RECEIVERS, Arrived, arrival_faults, deliveries, joined


def test_deliveries_go_to_all_receivers_in_turn_under_names_of_their_own() -> None:
    made = deliveries(2 * RECEIVERS, now_ms=1) + deliveries(RECEIVERS, now_ms=1, first=2 * RECEIVERS)
    assert len({one.id for one in made}) == 3 * RECEIVERS
    assert len({one.user_id for one in made}) == RECEIVERS


@pytest.mark.parametrize(
    ("arrived", "faults"),
    [
        ({"a": ["1", "3"], "b": ["2"]}, []),
        ({"a": ["1", "1"]}, ["a message arrived twice"]),
        ({"a": ["3", "1"]}, ["messages of one receiver arrived out of order"]),
    ],
)
def test_what_arrives_twice_or_out_of_order_is_told(arrived: Arrived, faults: list[str]) -> None:
    assert arrival_faults(arrived) == faults


def test_the_order_of_what_arrives_is_looked_at_over_both_spans() -> None:
    together = joined({"a": ["1", "2"]}, {"a": ["2"], "b": ["7"]})
    assert together == {"a": ["1", "2", "2"], "b": ["7"]}
    assert arrival_faults(together) == ["a message arrived twice"]
