"""Links lead somewhere, both languages say the same, the picture is whole."""

from __future__ import annotations

import re
from collections import Counter
from xml.etree import ElementTree as ET

import pytest

from tests.docs.pages import PAGES, PAIRS, ROOT, Page

_PAIRS = pytest.mark.parametrize(("english", "chinese"), PAIRS, ids=[pair[0].name for pair in PAIRS])
_EVERY_PAGE = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
_PICTURE = ROOT / "docs/picture.svg"


@_EVERY_PAGE
def test_every_link_to_a_file_leads_to_one_and_every_anchor_to_a_heading(page: Page) -> None:
    lost = []
    for link in page.links:
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (page.path.parent / name).resolve() if name else page.path
        if not target.exists() or (
            anchor and anchor not in Page(str(target.relative_to(ROOT.resolve()))).anchors
        ):
            lost.append(link)
    assert lost == []


@_PAIRS
def test_both_languages_have_the_same_headings(english: Page, chinese: Page) -> None:
    assert [level for level, _ in english.headings] == [level for level, _ in chinese.headings]


@_PAIRS
def test_both_languages_have_the_same_examples(english: Page, chinese: Page) -> None:
    """Code is equal to the letter; the trees of files (text) are translated, their left side is not."""

    def examples(page: Page) -> list[tuple[str, str]]:
        return [(block.language, block.text) for block in page.blocks if block.language != "text"]

    def trees(page: Page) -> list[list[str]]:
        return [re.findall(r"^\S.*?(?=  )", text, re.MULTILINE) for text in page.block("text")]

    assert examples(english) == examples(chinese)
    assert trees(english) == trees(chinese)


@_PAIRS
def test_both_languages_have_the_same_tables(english: Page, chinese: Page) -> None:
    assert english.table_shapes() == chinese.table_shapes()


@_PAIRS
def test_both_languages_name_the_same_keys_and_commands(english: Page, chinese: Page) -> None:
    """What a person fills in, ``<your host>``, is translated."""

    def named(page: Page) -> set[str]:
        spans = (re.sub("<[^>]*>", "<>", span) for span in page.spans)
        return {span for span in spans if span.isascii()}

    assert named(english) ^ named(chinese) == set()


@_PAIRS
def test_each_language_links_to_the_other_and_to_the_same_pages(english: Page, chinese: Page) -> None:
    def targets(page: Page) -> Counter[str]:
        return Counter(link.partition("#")[0].replace(".zh-CN.md", ".md") for link in page.links)

    assert targets(english) == targets(chinese)
    assert chinese.path.name in english.links
    assert english.path.name in chinese.links


def test_every_page_for_people_is_there_in_both_languages() -> None:
    names = {page.name for page in PAGES}
    alone = {"CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md", "docs/benchmarks.md", "docs/dependencies.md"}
    paired = {page.name for pair in PAIRS for page in pair}
    assert {name for name in names - paired - alone if not name.startswith("docs/decisions/")} == set()


def test_decisions_are_numbered_without_gaps_and_have_their_three_parts() -> None:
    decisions = [page for page in PAGES if page.name.startswith("docs/decisions/")]
    numbers = [page.path.name[:4] for page in decisions]
    assert numbers == [f"{number:04d}" for number in range(1, len(numbers) + 1)]
    for page in decisions:
        assert page.headings[0][1].startswith(f"{page.path.name[:4]}: ")
        assert [title for level, title in page.headings if level == 2] == [
            "Context",
            "Decision",
            "Consequence",
        ]


def test_the_picture_is_small_whole_and_readable_in_light_and_dark() -> None:
    text = _PICTURE.read_text(encoding="utf-8")
    root = ET.fromstring(text)  # noqa: S314 - our own file
    assert root.tag.endswith("}svg")
    assert len(text.encode()) < 15_000
    assert "prefers-color-scheme: dark" in text
    assert not re.search(r"href|<script|url\(|@import", text)


def test_the_code_refers_to_pages_that_exist() -> None:
    named = {
        reference
        for folder in ("bot", "handlers", "bench", "games", "content")
        for file in (ROOT / folder).rglob("*.py")
        for reference in re.findall(r"docs/[\w/-]+\.md", file.read_text(encoding="utf-8"))
    }
    assert {reference for reference in named if not (ROOT / reference).exists()} == set()
