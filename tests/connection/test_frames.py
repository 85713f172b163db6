"""Frames and what answers need of them, whatever comes over the wire."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.connection.answer_to import AnswerTo, Kind, answer_to_of, read_answer_to
from bot.connection.frames import Command, Frame, decode, encode

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
_NAMES = ("cmd", "headers", "body", "errcode", "errmsg", "req_id", "event", "eventtype")
_FRAMES = st.dictionaries(st.sampled_from(_NAMES), _JSON | st.dictionaries(st.sampled_from(_NAMES), _JSON))


@given(st.text() | st.binary() | _FRAMES.map(json.dumps))
def test_a_frame_is_read_or_refused_and_nothing_else(raw: str | bytes) -> None:
    try:
        frame = decode(raw)
    except ValueError:
        return
    assert isinstance(frame.is_kick, bool)
    answer_to = answer_to_of(frame, 5)
    assert answer_to == "" or read_answer_to(answer_to) is not None


@given(st.sampled_from(Kind), st.integers(min_value=0, max_value=1 << 50), st.text(min_size=1))
def test_what_an_answer_needs_is_read_as_it_was_written(kind: Kind, at_ms: int, req_id: str) -> None:
    answer_to = AnswerTo(kind, at_ms, req_id)
    assert read_answer_to(str(answer_to)) == answer_to


@given(st.text())
def test_an_address_of_another_shape_answers_nothing(text: str) -> None:
    found = read_answer_to(text)
    assert found is None or str(found) == text or found.received_at_ms == int(text.split(":")[1])


@pytest.mark.parametrize(
    ("cmd", "body", "kind"),
    [
        ("aibot_msg_callback", {"msgtype": "text"}, "m"),
        ("aibot_event_callback", {"event": {"eventtype": "enter_chat"}}, "w"),
        ("aibot_event_callback", {"event": {"eventtype": "template_card_event"}}, "c"),
        ("aibot_event_callback", {"event": {"eventtype": "feedback_event"}}, ""),
        ("aibot_event_callback", {"event": {"eventtype": ["x"]}}, ""),
        ("aibot_event_callback", {}, ""),
    ],
)
def test_each_kind_of_callback_permits_its_own_answer(cmd: str, body: dict[str, object], kind: str) -> None:
    frame = Frame(cmd, "r:1", body, 0, "")
    assert answer_to_of(frame, 7) == (f"{kind}:7:r:1" if kind else "")
    assert answer_to_of(frame._replace(req_id=""), 7) == ""


def test_a_ping_has_no_body_and_an_acknowledgement_may_carry_its_fields_either_way() -> None:
    assert json.loads(encode(Command.PING, "r-1", None)) == {"cmd": "ping", "headers": {"req_id": "r-1"}}
    inside = decode('{"headers":{"req_id":"r"},"errcode":0,"errmsg":"ok","body":{"upload_id":"u"}}')
    beside = decode('{"headers":{"req_id":"r"},"errcode":0,"errmsg":"ok","upload_id":"u"}')
    assert inside.body == beside.body == {"upload_id": "u"}
