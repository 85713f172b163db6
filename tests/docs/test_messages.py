"""The page about messages says what the code does."""

from __future__ import annotations

import re

from bot.delivery import wechat, wecom, wecom_robot
from bot.delivery.appchat import LEAST_MEMBERS, MOST_MEMBERS, NAME_CHARACTERS
from bot.delivery.degrade import INSTEAD
from bot.delivery.media import MediaRule
from bot.delivery.routes import ABILITIES
from bot.platforms.wecom import card_json
from bot.storage.redis.media_ids import KEPT_MS
from bot.storage.sql.blobs import MOST_BYTES
from tests.docs.pages import page

PAGE = page("docs/messages.md")
_NAMES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "GIF": "image/gif",
    "AMR": "audio/amr",
    "MP3": "audio/mpeg",
    "MP4": "video/mp4",
}


def _codes(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def _number(cell: str) -> int:
    return int(cell.replace(" ", ""))


def test_what_stands_for_what_is_the_table_of_the_code() -> None:
    rows = PAGE.table("What stands for what")
    assert {_codes(part)[0]: tuple(_codes(instead)) for part, instead, _ in rows} == INSTEAD


def test_what_each_way_takes_is_the_table_of_the_code() -> None:
    rows = PAGE.table("What each way takes")
    listed = {
        _codes(name)[0]: (
            frozenset(_codes(passive)),
            frozenset(_codes(active)),
            _number(text),
            _number(markdown),
            _number(articles),
        )
        for name, passive, active, text, markdown, articles in rows
    }
    assert listed == {
        name: (
            row.passive_parts,
            row.active_parts,
            row.text_limit_bytes,
            row.markdown_limit_bytes,
            row.most_articles,
        )
        for name, row in ABILITIES.items()
    }


def test_sizes_and_types_of_uploads_are_those_of_the_clients() -> None:
    kinds = ("image", "voice", "video", "file")
    rules = {"wecom_app": wecom._RULES, "wecom_robot": wecom_robot._RULES, "wechat_oa": wechat._RULES}

    def rule(cell: str) -> MediaRule | None:
        *names, size = cell.split(", ")
        types = frozenset(_NAMES[name] for name in names)
        return MediaRule(types, int(size.removesuffix(" MiB")) << 20) if cell else None

    listed = {
        _codes(name)[0]: {
            kind: taken for kind, cell in zip(kinds, cells, strict=True) if (taken := rule(cell))
        }
        for name, *cells in PAGE.table("Bytes of our own")
    }
    assert listed == rules
    assert f"up to {MOST_BYTES >> 20} MiB" in PAGE.prose
    assert KEPT_MS == 2 * 86_400_000
    assert "again after two days" in PAGE.prose


def test_limits_of_cards_and_groups_are_those_of_the_code() -> None:
    rows = {_codes(field)[0]: re.findall(r"\d+", limit) for field, limit in PAGE.table("Template cards")}
    assert rows["task_id"] == [str(card_json.TASK_ID_BYTES)]
    assert rows["lines"] == [str(card_json.MOST_LINES)]
    assert rows["links"] == [str(card_json.MOST_LINKS)]
    assert rows["buttons"] == [str(card_json.MOST_BUTTONS), str(card_json.KEY_BYTES)]
    assert rows["questions"] == ["1", str(card_json.MOST_QUESTIONS), "1"]
    assert rows["options"] == [str(card_json.MOST_OPTIONS), str(card_json.MOST_VOTE_OPTIONS)]
    assert f"1 to {NAME_CHARACTERS} characters" in PAGE.prose
    assert f"{LEAST_MEMBERS} to {MOST_MEMBERS} members" in PAGE.prose
