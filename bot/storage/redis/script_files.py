"""The Lua acts: one file each, read once, told apart by their SHA-1 as EVALSHA wants it.

A line ``--@include name`` stands for the text of ``scripts/lib/name.lua``, so that what several acts
share (appending a ledger entry, creating a delivery) is written once and still runs as one atomic script.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib import resources

_INCLUDE = re.compile(r"^--@include (\w+)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One act, ready to be called; `sha` is what EVALSHA takes."""

    name: str
    source: str
    sha: str


def read_scripts() -> dict[str, Script]:
    """Read every act that comes with the product, by name."""
    folder = resources.files("bot.storage.redis") / "scripts"
    library = {
        entry.name.removesuffix(".lua"): entry.read_text("utf-8") for entry in (folder / "lib").iterdir()
    }
    scripts = {}
    for entry in folder.iterdir():
        if entry.name.endswith(".lua"):
            name = entry.name.removesuffix(".lua")
            source = _INCLUDE.sub(lambda found: library[found[1]], entry.read_text("utf-8"))
            sha = hashlib.sha1(source.encode(), usedforsecurity=False).hexdigest()
            scripts[name] = Script(name, source, sha)
    return scripts
