"""Every text that the code names is there, and every text that is there is named by the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

from bot.catalog import load_catalog

ROOT = Path(__file__).parents[2]
KEY = re.compile(r"[a-z_]+\.[a-z_]*")


def texts_of(language: str) -> dict[str, str]:
    texts: dict[str, str] = {}
    for file in sorted((ROOT / "content" / language).glob("*.yaml")):
        texts |= yaml.safe_load(file.read_text("utf-8"))
    return texts


def named_in(source: str) -> Iterator[str]:
    """Yield every constant text; of an f-string, what stands before its first variable."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.JoinedStr(values=[ast.Constant(value=str(begin)), *_]):
                yield begin
            case ast.Constant(value=str(text)):
                yield text


def test_every_text_is_used_and_every_used_text_is_there() -> None:
    sources = [
        *(ROOT / "handlers").glob("*.py"),
        *(ROOT / "bot" / "routing").glob("*.py"),
        *(ROOT / "bot" / "proofs").glob("*.py"),
        ROOT / "bot" / "work.py",
        ROOT / "bot" / "wiring.py",
    ]
    keys = set(texts_of("zh-CN"))
    features = {key.partition(".")[0] for key in keys}
    named = {
        text for file in sources for text in named_in(file.read_text("utf-8"))
        if KEY.fullmatch(text) and text.partition(".")[0] in features and not text.endswith((".css", ".js"))
    }  # fmt: skip
    beginnings = tuple(text for text in named if text.endswith((".", "_")))

    assert {text for text in named if text not in beginnings} <= keys
    assert all(any(key.startswith(begin) for key in keys) for begin in beginnings)
    assert {key for key in keys - named if not key.startswith(beginnings)} == set()


def test_the_texts_are_in_good_order() -> None:
    """The two languages have the same keys, and no Chinese text uses half-width commas between its words."""
    catalog = load_catalog()
    assert catalog.languages >= {"zh-CN", "en"}
    chinese, english = texts_of("zh-CN"), texts_of("en")
    assert chinese.keys() == english.keys()
    for key, text in chinese.items():
        assert not re.search(r"[\u4e00-\u9fff][,;?!]", text), key
        assert len(text.encode()) < 1000, key
    for key, text in english.items():
        if key != "calendar.weekdays":
            assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", text), key
