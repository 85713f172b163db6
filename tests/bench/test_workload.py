from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest

from bench.workload import AIBOT, GROUP, WECOM, Workload, make_chat, make_check_ins, make_rules
from bot.model import Event, Text, TextMessage
from bot.platforms.protocol import StreamTexts
from bot.platforms.wecom.aibot import WecomAibot
from bot.platforms.wecom.app import WecomApp
from bot.routing.keyword_index import KeywordIndex
from bot.routing.normalise import Normaliser
from bot.sandbox.wire import UndecodableAnswerError

RULES = make_rules(2_000)
APP = WecomApp(
    channel=WECOM.name,
    corp_id=WECOM.receiver_id,
    agent_id=WECOM.agent_id,
    token=WECOM.token,
    encoding_aes_key=WECOM.encoding_aes_key,
)

BOT = WecomAibot(
    channel=AIBOT.name,
    token=AIBOT.token,
    encoding_aes_key=AIBOT.encoding_aes_key,
    stream_name=lambda event: f"00-{event.id}",
    texts=StreamTexts("working", "done", "elsewhere", "apart"),
)


def test_rules_are_distinct_and_the_smaller_sets_are_part_of_the_larger() -> None:
    assert len({rule.triggers[0] for rule in make_rules(100_000)}) == 100_000
    assert make_rules(10) == RULES[:10]


def test_every_callback_opens_to_a_line_that_meets_its_rule_or_none() -> None:
    chat = make_chat(WECOM, RULES, count=400, members=20)
    normalise = Normaliser().normalise
    index = KeywordIndex.build(RULES, ZoneInfo("Asia/Shanghai"), normalise)
    ids = set()
    for request, user, expected in zip(chat.requests, chat.users, chat.expected, strict=True):
        event = opened(request)
        assert isinstance(event.content, TextMessage)
        best = index.best(normalise(event.content.text), event.sent_at_ms)
        assert (best.rule.answers[0] if best else "") == expected
        assert event.user_id == user
        ids.add(event.id)
    assert len(ids) == 400
    assert 0.4 < sum(map(bool, chat.expected)) / 400 < 0.6
    assert len(set(chat.users)) == 20


def test_a_wrong_answer_is_told_from_the_right_one_and_from_silence() -> None:
    chat = make_chat(WECOM, RULES, count=20, members=2)
    silent = chat.expected.index("")
    spoken = next(number for number, expected in enumerate(chat.expected) if expected)
    right, other = (answer_to(chat, spoken, text) for text in (chat.expected[spoken], "别的话"))
    assert chat.fault_of(silent, b"") == chat.fault_of(spoken, right) == ""
    assert "another answer" in chat.fault_of(spoken, other)
    assert "none is due" in chat.fault_of(spoken, b"")
    assert "none is due" in chat.fault_of(silent, right)


def test_callbacks_of_an_ai_bot_come_from_a_group_and_mention_the_bot() -> None:
    chat = make_chat(AIBOT, RULES, count=100, members=20)
    ids = set()
    for request, user, expected in zip(chat.requests, chat.users, chat.expected, strict=True):
        event = opened_by_bot(request)
        assert isinstance(event.content, TextMessage)
        assert (event.user_id, event.group_id, "@" in event.content.text) == (user, GROUP, False)
        assert not expected or expected.partition("（")[0] in event.content.text
        ids.add(event.id)
    assert len(ids) == 100
    assert 0.3 < sum(map(bool, chat.expected)) / 100 < 0.7


def test_a_wrong_answer_of_an_ai_bot_is_told_from_the_right_one_and_from_silence() -> None:
    chat = make_chat(AIBOT, RULES, count=20, members=2)
    silent = chat.expected.index("")
    spoken = next(number for number, expected in enumerate(chat.expected) if expected)
    right, other = (bot_answer_to(chat, spoken, text) for text in (chat.expected[spoken], "别的话"))
    assert chat.fault_of(silent, b"") == chat.fault_of(spoken, right) == ""
    assert "another answer" in chat.fault_of(spoken, other)
    assert "none is due" in chat.fault_of(spoken, b"")
    assert "none is due" in chat.fault_of(silent, bot_answer_to(chat, silent, "一句话"))
    working = BOT.streams.render(
        "stream", Text(chat.expected[spoken]), 1, query_of(chat.requests[spoken]), finished=False
    )
    assert "another answer" in chat.fault_of(spoken, working)
    with pytest.raises(UndecodableAnswerError):
        chat.fault_of(spoken, bot_answer_to(chat, silent, chat.expected[spoken]))  # another one's nonce


def bot_answer_to(chat: Workload, number: int, text: str) -> bytes:
    request = chat.requests[number]
    return BOT.render(opened_by_bot(request), Text(text), at_ms=1_772_510_400_000, query=query_of(request))


def opened_by_bot(request: bytes) -> Event:
    event = BOT.open(query_of(request), request.partition(b"\r\n\r\n")[2], received_at_ms=0)
    assert isinstance(event, Event)
    return event


def query_of(request: bytes) -> str:
    return request.split(b" ")[1].partition(b"?")[2].decode()


def answer_to(chat: Workload, number: int, text: str) -> bytes:
    return APP.render(opened(chat.requests[number]), Text(text), at_ms=1_772_510_400_000, query="")


def opened(request: bytes) -> Event:
    head, _, body = request.partition(b"\r\n\r\n")
    return APP.open(head.split(b" ")[1].partition(b"?")[2].decode(), body, received_at_ms=0)


def test_check_ins_come_from_as_many_people_as_there_are_callbacks() -> None:
    assert len(set(make_check_ins(WECOM, 100).users)) == 100
