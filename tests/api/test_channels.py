"""``channels``: what each can do and cannot do, in fields and in plain sentences."""

from __future__ import annotations

import re

from bot.delivery.ability_words import CHINESE, sentences
from bot.delivery.routes import ABILITIES, channel_abilities
from tests.api.world import World


async def test_a_channel_says_what_it_can_do_in_each_kind_of_chat(world: World) -> None:
    shown = (await world.get("/channels/app")).body
    assert (shown["kind"], shown["mode"], shown["can_send"]) == ("wecom_app", None, True)
    assert shown["communities"] == ["milk", "tea"]
    assert shown["direct"]["direct_send"] == "employees"
    assert shown["direct"]["rates"][0] == {"most": 30, "per_s": 60.0, "over": "receiver", "persons": False}
    assert shown["group"]["group_messages"] == "nothing"
    assert "It cannot answer in a group." in shown["words"]["cannot"]
    assert "不能在群内回复。" in shown["words"]["cannot_zh"]


async def test_a_channel_without_a_secret_says_so(world: World) -> None:
    shown = (await world.get("/channels/oa")).body
    assert (shown["mode"], shown["can_send"], shown["group"]) == ("plain", False, None)
    assert any("no secret" in sentence for sentence in shown["words"]["cannot"])
    assert shown["direct"]["windows"][0] == {"act": "message", "most": 5, "within_s": 172_800.0}


async def test_channels_are_listed_for_the_communities_a_token_may_see(world: World) -> None:
    _, milk = await world.tokens.create("m", "analyst", "milk")
    names = [channel["name"] for channel in await world.items("/channels", limit="1")]
    assert names == ["app", "oa"]
    reply = await world.ask("GET", "/channels", token=milk)
    assert [(item["name"], item["communities"]) for item in reply.body["items"]] == [("app", ["milk"])]
    assert (await world.ask("GET", "/channels/oa", token=milk)).word == "not_found"
    assert (await world.get("/channels/nothing")).word == "not_found"


def test_every_word_of_the_table_has_its_chinese() -> None:
    for row in ABILITIES.values():
        words = {
            row.direct_messages,
            row.direct_send,
            row.group_send,
            row.send_later,
            row.inviter,
            *row.join_events,
        }
        words |= row.passive_parts | row.active_parts | {window.act for window in row.windows}
        assert words - {""} <= CHINESE.keys()


def test_the_sentences_of_both_languages_say_the_same_things() -> None:
    for kind in ("wecom_app", "wecom_aibot", "wecom_robot", "wechat_oa"):
        for long_connection in (False, True) if kind == "wecom_aibot" else (False,):
            said = sentences(channel_abilities(kind, long_connection=long_connection, can_send=False))
            for english, chinese in ((said.can, said.can_zh), (said.cannot, said.cannot_zh)):
                for one, other in zip(english, chinese, strict=True):
                    for number in re.findall(r"\d{3,}", one):
                        assert number in other, (one, other)


def test_what_an_ai_bot_cannot_do_is_said_plainly() -> None:
    said = sentences(channel_abilities("wecom_aibot"))
    assert "It says nothing unprompted in a group." in said.cannot
    assert "In groups it sees messages that mention it (@)." in said.can
    assert "In any chat at most 1 message may follow an answer." in said.can
    assert "In any chat an answer has 1 h." in said.can
