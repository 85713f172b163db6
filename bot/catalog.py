"""The texts of answers: `content/<language>/*.yaml`, checked at load, quick to fill in.

A file holds `key: text` or `key: [text, text]` (variants). A text has `{name}` placeholders and nothing
else of Python's format language; `{{` and `}}` stand for the braces. Values are put in literally: what
a value holds is never read as a placeholder again.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from bot.errors import ConfigError, Fault
from bot.yaml_tree import Document, Finding, Tree, read_yaml

FALLBACK: Final = "zh-CN"
"""The language that answers where another has no text."""

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Z]{2})?")
_KEY: Final = re.compile(r"[a-z][a-z0-9_.-]{0,99}")
_PIECE: Final = re.compile(
    r"(?P<brace>\{\{|\}\})|\{(?P<name>[a-z_][a-z0-9_]*)\}|(?P<wrong>\{[^{}]*\}?|\}|[｛][A-Za-z0-9_]*[｝])"
)
_RESERVED: Final = "pick_by"  # `Catalog.text` takes it itself


@dataclass(frozen=True, slots=True)
class _Template:
    """One text, cut into (literal, placeholder after it); the last placeholder is empty."""

    pieces: tuple[tuple[str, str], ...]

    @property
    def names(self) -> frozenset[str]:
        return frozenset(name for _literal, name in self.pieces if name)

    def render(self, values: Mapping[str, object]) -> str:
        parts = []
        for literal, name in self.pieces:
            parts.append(literal)
            if name:
                parts.append(str(values[name]))
        return "".join(parts)


@dataclass(frozen=True, slots=True)
class _Entry:
    """What one language has under one key, and where; no variants where its texts are wrong."""

    variants: tuple[_Template, ...]
    file: str
    line: int

    @property
    def names(self) -> frozenset[str]:
        return frozenset[str]().union(*(variant.names for variant in self.variants))


class Catalog:
    """All texts of all languages; immutable, so one may serve every request."""

    def __init__(self, entries: Mapping[str, Mapping[str, _Entry]]) -> None:
        """Hold `entries`, language → key → texts; `load_catalog` makes them."""
        self._entries = entries
        self._fallback = entries[FALLBACK]

    def over(self, other: Catalog) -> Catalog:
        """Return a catalog of these texts, and of `other`'s where these have none."""
        languages = self._entries.keys() | other._entries.keys()
        return Catalog(
            {
                language: {**other._entries.get(language, {}), **self._entries.get(language, {})}
                for language in languages
            }
        )

    @property
    def languages(self) -> frozenset[str]:
        """The languages that have texts."""
        return frozenset(self._entries)

    @property
    def keys(self) -> frozenset[str]:
        """Every key that has a text."""
        return frozenset(self._fallback)

    def text(self, language: str, key: str, /, *, pick_by: str = "", **values: object) -> str:
        """Return the text of `key` with `values` in the places of its placeholders.

        An unknown language answers in `FALLBACK`. Of several variants the same one is chosen every time
        for the same `pick_by`, so that an event handled again is answered the same: pass its id. Without
        it, equal values choose the same variant. Values that the text does not mention are left out.

        Raises:
            KeyError: There is no such key, or a placeholder has no value; `require` finds both at start.
        """
        variants = self._entries.get(language, self._fallback)[key].variants
        if len(variants) == 1:
            return variants[0].render(values)
        choice = pick_by or "\0".join(str(value) for value in values.values())
        return variants[zlib.crc32(choice.encode()) % len(variants)].render(values)

    def require(self, keys: Iterable[str] | Mapping[str, Collection[str]]) -> None:
        """Check at start that every one of `keys` has a text.

        Given a mapping of key to the names of the values that the code passes, check too that the text
        asks for no other.

        Raises:
            ConfigError: A key has no text, or a text has a placeholder that nothing fills; all at once.
        """
        names_of = keys if isinstance(keys, Mapping) else dict.fromkeys(keys)
        faults = [fault for key, names in names_of.items() for fault in self._lacking(key, names)]
        if faults:
            raise ConfigError(faults)

    def _lacking(self, key: str, names: Collection[str] | None) -> Iterator[Fault]:
        if key not in self._fallback:
            where = f"{next(iter(self._fallback.values())).file}:1" if self._fallback else f"{FALLBACK}:1"
            yield Fault(where, key, "has no text", "add it to every language")
            return
        for language, entries in self._entries.items():
            entry = entries[key]
            if names is not None and (unknown := entry.names - set(names)):
                known = ", ".join(f"{{{name}}}" for name in sorted(names)) or "none"
                yield Fault(
                    f"{entry.file}:{entry.line}",
                    key,
                    f"the {language} text has {_braced(unknown)}, which nothing fills",
                    f"placeholders of this text: {known}",
                )


def load_catalog(directory: Path | Traversable | None = None) -> Catalog:
    """Load and check the texts under `directory`; None means the `content` that came with the product.

    Each sub-directory named like a language (``zh-CN``, ``en``) holds its files; what else lies in
    `directory` is not looked at. Every language must have the same keys with the same placeholders.

    Raises:
        ConfigError: Something is wrong; it carries all faults at once.
    """
    root = files("content") if directory is None else directory
    faults: list[Fault] = []
    entries: dict[str, dict[str, _Entry]] = {}
    complete: set[str] = set()
    folders = sorted(root.iterdir(), key=lambda folder: folder.name) if root.is_dir() else []
    for folder in folders:
        if _LANGUAGE.fullmatch(folder.name) and folder.is_dir():
            entries[folder.name], all_read = _read_language(folder, faults)
            if all_read:
                complete.add(folder.name)
    if FALLBACK not in entries:
        faults.append(Fault(f"{root}:1", FALLBACK, "there is no such directory", "every text needs it"))
    faults += _differences(entries, complete)
    if faults:
        raise ConfigError(faults)
    return Catalog(entries)


def _read_language(folder: Path | Traversable, faults: list[Fault]) -> tuple[dict[str, _Entry], bool]:
    """Return the texts of one language by key, and whether every file could be read.

    What is wrong is added to `faults`.
    """
    entries: dict[str, _Entry] = {}
    all_read = True
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if file.name.endswith(".yml"):
            faults.append(Fault(f"{file}:1", "(file)", "is not read", "name it .yaml"))
        if not file.name.endswith(".yaml"):
            continue
        try:
            document = read_yaml(file.read_bytes())
        except OSError as error:
            faults.append(Fault(f"{file}:1", "(file)", f"cannot be read: {error.strerror}"))
            all_read = False
            continue
        all_read = all_read and () not in document.broken
        findings = list(document.findings)
        for key, entry in _read_entries(document, str(file), findings):
            if first := entries.get(key):
                cure = f"keep one; the first stands in {first.file}:{first.line}"
                findings.append(Finding((key,), entry.line, "is there twice", cure))
            else:
                entries[key] = entry
        faults += [_fault(finding, str(file)) for finding in sorted(findings, key=lambda found: found.line)]
    return entries, all_read


def _fault(finding: Finding, file: str) -> Fault:
    path = "".join(f"[{step}]" if isinstance(step, int) else step for step in finding.path)
    return Fault(f"{file}:{finding.line}", path or "(file)", finding.problem, finding.cure)


def _read_entries(document: Document, file: str, findings: list[Finding]) -> Iterator[tuple[str, _Entry]]:
    """Yield the texts of one file; a key whose texts are wrong is yielded without them."""
    tree = document.tree
    if not isinstance(tree, dict):
        if () not in document.broken and tree is not None:
            findings.append(Finding((), 1, "must hold keys and texts", "write `key: text` lines"))
        return
    for key, value in tree.items():
        line = document.lines[key,]
        if _KEY.fullmatch(key) is None:
            cure = "use a-z, 0-9, _, . and -, beginning with a letter"
            findings.append(Finding((key,), line, "is not a good key", cure))
        texts = value if isinstance(value, list) else [value]
        variants, sound = [], bool(texts)
        for position, text in enumerate(texts):
            path = (key, position) if isinstance(value, list) else (key,)
            template, problems = _compile(text)
            if path not in document.broken:
                findings += [Finding(path, document.line_of(path), *problem) for problem in problems]
            sound = sound and not problems
            variants.append(template)
        if not texts:
            findings.append(Finding((key,), line, "has no text", "write at least one"))
        yield key, _Entry(tuple(variants) if sound else (), file, line)


def _compile(text: Tree) -> tuple[_Template, list[tuple[str, str]]]:
    """Return the template of `text`, and what is wrong with it as pairs of problem and cure."""
    if text is None or text == "":
        return _Template(()), [("has no text", "write one")]
    if not isinstance(text, str):
        return _Template(()), [("must be a text or a list of texts", "put a text with { or [ in quotes")]
    text = text.rstrip("\n")  # a block of YAML ends with a line break, a message does not
    pieces: list[tuple[str, str]] = []
    problems: list[tuple[str, str]] = []
    literal, end = "", 0
    for match in _PIECE.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        if match["brace"]:
            literal += match["brace"][0]
        elif match["name"] and match["name"] != _RESERVED:
            pieces.append((literal, match["name"]))
            literal = ""
        else:
            cure = "write {name} with a-z, 0-9 and _, or {{ and }} for the braces themselves"
            problems.append((f"{match[0]} is not a placeholder", cure))
    pieces.append((literal + text[end:], ""))
    return _Template(tuple(pieces)), problems


def _differences(entries: Mapping[str, Mapping[str, _Entry]], complete: set[str]) -> Iterator[Fault]:
    """Yield where languages do not have the same keys with the same placeholders.

    Languages that could not be read completely may have what they seem to lack: they lack nothing here.
    """
    for key in sorted({key for texts in entries.values() for key in texts}):
        having = {language: texts[key] for language, texts in entries.items() if key in texts}
        first = having.get(FALLBACK) or next(iter(having.values()))
        where = f"{first.file}:{first.line}"
        for language in sorted(complete - having.keys()):
            yield Fault(where, key, f"has no {language} text", f"add it under {language}/")
        for language, entry in having.items():
            if entry.variants and first.variants and entry.names != first.names:
                yield Fault(
                    f"{entry.file}:{entry.line}",
                    key,
                    f"the {language} text has {_braced(entry.names)}, {where} has {_braced(first.names)}",
                    "use the same placeholders in every language",
                )


def _braced(names: Iterable[str]) -> str:
    return ", ".join(f"{{{name}}}" for name in sorted(names)) or "no placeholder"
