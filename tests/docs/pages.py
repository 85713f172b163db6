"""The pages as data: headings, code blocks, tables, links."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")
_SPAN = re.compile(r"`([^`\n]+)`")
_NOT_IN_ANCHOR = re.compile(r"[^\w\- ]")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block; `language` is empty where none is named."""

    language: str
    text: str


@dataclass(frozen=True)
class Page:
    """One Markdown page; `name` is its path below the root."""

    name: str

    @property
    def path(self) -> Path:
        return ROOT / self.name

    @cached_property
    def text(self) -> str:
        return self.path.read_text(encoding="utf-8")

    @cached_property
    def blocks(self) -> list[Block]:
        return [Block(language, text) for language, text in _FENCE.findall(self.text)]

    def block(self, language: str) -> list[str]:
        """Return the texts of the blocks in one language."""
        return [block.text for block in self.blocks if block.language == language]

    @cached_property
    def prose(self) -> str:
        """The page without its fenced blocks."""
        return _FENCE.sub("", self.text)

    @cached_property
    def headings(self) -> list[tuple[int, str]]:
        return [(len(marks), title.strip()) for marks, title in _HEADING.findall(self.prose)]

    @cached_property
    def anchors(self) -> set[str]:
        """The names under which headings are linked, as Git hosts make them."""
        return {_NOT_IN_ANCHOR.sub("", title.lower()).replace(" ", "-") for _, title in self.headings}

    @cached_property
    def links(self) -> list[str]:
        return [str(link) for link in _LINK.findall(self.prose)]

    @cached_property
    def spans(self) -> list[str]:
        """What stands between single backticks."""
        return [str(span) for span in _SPAN.findall(self.prose)]

    def table(self, heading: str) -> list[list[str]]:
        """Return the rows, without header, of the first table below a heading."""
        return self.tables(heading)[0]

    def tables(self, heading: str) -> list[list[list[str]]]:
        """Return every table between a heading and the next one."""
        part = self.prose.split(f"# {heading}\n", 1)[1]
        part = re.split(r"^#+ ", part, maxsplit=1, flags=re.MULTILINE)[0]
        found: list[list[list[str]]] = []
        inside = False
        for line in part.splitlines():
            if line.startswith("|") and not inside:
                found.append([])
            inside = line.startswith("|")
            if inside:
                found[-1].append([cell.strip() for cell in line.strip("|").split("|")])
        return [rows[2:] for rows in found]

    def table_shapes(self) -> list[tuple[int, int]]:
        """Return rows and columns of every table of the page."""
        lines = [line.count("|") if line.startswith("|") else 0 for line in self.prose.splitlines()]
        shapes: list[tuple[int, int]] = []
        for before, line in zip([0, *lines], lines, strict=False):
            if line and before:
                shapes[-1] = (shapes[-1][0] + 1, line)
            elif line:
                shapes.append((1, line))
        return shapes


PAIRS = tuple(
    (Page(name), Page(name.replace(".md", ".zh-CN.md")))
    for name in (
        "README.md",
        "docs/api.md",
        "docs/connect-ai-bot.md",
        "docs/connect-group-robot.md",
        "docs/connect-official-account.md",
        "docs/connect-wecom.md",
        "docs/games.md",
        "docs/handlers.md",
        "docs/messages.md",
        "docs/operations.md",
        "docs/your-own-game.md",
    )
)
PAGES = tuple(
    Page(str(path.relative_to(ROOT))) for path in sorted((*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")))
)


def page(name: str) -> Page:
    """Return one page of `PAGES`."""
    return next(page for page in PAGES if page.name == name)
