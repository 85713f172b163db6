"""Rules, and the callbacks that meet them: about half of the lines hold a trigger, each somewhere else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from bench.sizes import SEED
from bench.wordstock import ANSWER_ENDS, CLOSERS, MATTERS, OPENERS, PLACES, PRODUCTS
from bot.model import KeywordRule
from bot.sandbox.answers import read_passive
from bot.sandbox.channel import SandboxChannel
from bot.sandbox.vendor import Sandbox
from bot.sandbox.wire import Callback, open_answer, open_bot_answer

WECOM = SandboxChannel(
    name="app",
    kind="wecom_app",
    receiver_id="ww0000000000bench0",
    account_id="ww0000000000bench0",
    token="benchTokenOfTheApp",
    encoding_aes_key="benchAppKeyIsNoSecretbenchAppKeyIsNoSecret0",
    agent_id=1000002,
)
WECHAT = SandboxChannel(
    name="oa",
    kind="wechat_oa",
    receiver_id="wx0000000000bench0",
    account_id="gh_00000000bench",
    token="benchTokenOfTheAccount",
    encoding_aes_key="benchAccountKeyIsNoSecretbenchAccountKey000",
)
AIBOT = SandboxChannel(
    name="bot",
    kind="wecom_aibot",
    receiver_id="",
    account_id="aibBENCH",
    token="benchTokenOfTheBot",
    encoding_aes_key="benchBotKeyIsNoSecretbenchBotKeyIsNoSecret0",
    mode="callback",
)
GROUP = "wrBENCH"
CHECK_IN_DONE = "签到成功"

_HIT_SHARE = 0.5
_STEP = 48_611


@dataclass(frozen=True, slots=True)
class Workload:
    """Callbacks in the order they are sent; the tuples run side by side.

    Attributes:
        channel: Whose callbacks they are.
        requests: Whole HTTP requests.
        users: Who sends each.
        expected: What the answer must contain; empty where there must be none.
        nonces: That of each callback's address, which an AI bot repeats.
    """

    channel: SandboxChannel
    requests: tuple[bytes, ...]
    users: tuple[str, ...]
    expected: tuple[str, ...]
    nonces: tuple[str, ...]

    def fault_of(self, number: int, body: bytes) -> str:
        """Return what is wrong with the answer to request `number`, empty for nothing.

        The answer is opened as the vendor does: signature, decryption, receiver, sender.
        """
        if self.channel.kind == "wecom_aibot":
            return self._fault_of_bot(number, body)
        inner = open_answer(self.channel, body)
        expected = self.expected[number]
        if not inner or not expected:
            return "" if not inner and not expected else "an answer where none is due, or none where one is"
        said = read_passive(self.channel, self.users[number], inner)
        return "" if expected in said.text else "another answer than the rule's"

    def _fault_of_bot(self, number: int, body: bytes) -> str:
        said = open_bot_answer(self.channel, body, self.nonces[number])
        expected = self.expected[number]
        if not said or not expected:
            return "" if not said and not expected else "an answer where none is due, or none where one is"
        stream = said["stream"]
        return "" if stream["finish"] and expected in stream["content"] else "another answer than the rule's"


def make_rules(count: int) -> list[KeywordRule]:
    """Return `count` "contains" rules with one trigger and one constant answer each, at most 125 000.

    The first of many are the same as few.
    """
    return [_rule(number) for number in range(count)]


def _rule(number: int) -> KeywordRule:
    # A step without a common factor meets every combination once, and neighbours share no beginning.
    combination = (SEED + number * _STEP) % (len(PLACES) * len(PRODUCTS) * len(MATTERS))
    rest, matter = divmod(combination, len(MATTERS))
    place, product = divmod(rest, len(PRODUCTS))
    trigger = PLACES[place] + PRODUCTS[product] + MATTERS[matter]
    answer = f"{trigger}（{number}）：{ANSWER_ENDS[number % len(ANSWER_ENDS)]}"
    return KeywordRule(triggers=(trigger,), answers=(answer,), match="contains")


def make_chat(channel: SandboxChannel, rules: Sequence[KeywordRule], count: int, members: int) -> Workload:
    """Return `count` chat lines of `members` people, about half of them with a trigger of `rules`."""
    chance = random.Random(f"{SEED} {channel.name} {len(rules)}")
    lines, expected = [], []
    for _ in range(count):
        rule = chance.choice(rules) if chance.random() < _HIT_SHARE else None
        core = rule.triggers[0] if rule else chance.choice(PRODUCTS) + chance.choice(MATTERS)
        lines.append(chance.choice(OPENERS) + core + chance.choice(CLOSERS))
        expected.append(rule.answers[0] if rule else "")
    users = [f"member{chance.randrange(members):04d}" for _ in range(count)]
    return _sealed(channel, users, lines, expected)


def make_check_ins(channel: SandboxChannel, count: int) -> Workload:
    """Return the first check-in of the day of `count` people."""
    users = [f"early{number:06d}" for number in range(count)]
    return _sealed(channel, users, ["签到"] * count, [CHECK_IN_DONE] * count)


def _sealed(
    channel: SandboxChannel, users: Sequence[str], lines: Sequence[str], expected: Sequence[str]
) -> Workload:
    sandbox = Sandbox([channel], people=())
    group, mention = "", ""
    if channel.kind == "wecom_aibot":
        group, mention = GROUP, "@活群 "
        sandbox.add_group(channel.name, GROUP, "鲜奶福利群", sorted(set(users)))
    callbacks = [
        sandbox.build_callback(channel.name, user, mention + line, group=group)
        for user, line in zip(users, lines, strict=True)
    ]
    return Workload(
        channel,
        tuple(_request(channel, callback) for callback in callbacks),
        tuple(users),
        tuple(expected),
        tuple(callback.nonce for callback in callbacks),
    )


def _request(channel: SandboxChannel, callback: Callback) -> bytes:
    head = (
        f"POST /callback/{channel.name}?{callback.query} HTTP/1.1\r\n"
        "Host: bot.example.com\r\nUser-Agent: Mozilla/4.0\r\nAccept: */*\r\nContent-Type: text/xml\r\n"
        f"Content-Length: {len(callback.body)}\r\n\r\n"
    )
    return head.encode() + callback.body
