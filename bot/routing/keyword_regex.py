"""Regular expressions of keyword rules: RE2, whose time is linear in the text, many at once.

Dozens or a thousand patterns are searched together (`re2.Set`, about a microsecond for a chat line), and
only those that are in the text are run one by one for the length of what they match.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import re2

from bot.routing.keyword_fault import RuleFault, RuleRefusedError
from bot.routing.keyword_pattern import fit_pattern

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_PROGRAM = 2000
"""Largest compiled pattern, in RE2 instructions: the work per character of a text is bounded by it."""

_PATTERN_MEMORY_BYTES = 1 << 20
_SET_MEMORY_BYTES = 8 << 20
_SET_SIZE = 1000  # patterns searched at once: one state of the automaton costs time by their number
_HALF_CHARACTER = "\\C"  # one byte, perhaps the middle of a character

# What RE2 says about a pattern, and what helps, in English and Chinese. The first that is found counts.
_CURES = (
    (
        "(?<",
        "RE2 has no look-behind, and names a group (?P<name>…); match the text before it as well",
        "不支持向后断言，请把前面的文字也写进来",
    ),
    (
        "(?=",
        "RE2 has no look-ahead; match the text itself, or use two rules of different priority",
        "不支持向前断言，请直接匹配文字，或用两条优先级不同的规则",
    ),
    (
        "(?!",
        "RE2 has no look-ahead; match the text itself, or use two rules of different priority",
        "不支持向前断言，请直接匹配文字，或用两条优先级不同的规则",
    ),
    (
        "(?P",
        "RE2 names a group (?P<name>…) and has no back-references; write the repeated part out",
        "命名分组请写 (?P<name>…)；不支持反向引用，请把重复的部分写出来",
    ),
    ("(?>", "RE2 has no atomic groups and needs none; write (?:…)", "不需要原子组，请写成 (?:…)"),
    (
        "(?",
        "RE2 knows the groups (…), (?:…), (?P<name>…) and the flags (?i), (?s), (?m), (?U)",
        "可以用的分组有 (…)、(?:…)、(?P<name>…)",
    ),
    ("escape sequence: \\Z", "write $ for the end of the text", "文字结尾请写 $"),
    ("escape sequence: \\C", "write . for any one character", "任意一个字请写 ."),
    (
        "escape sequence",
        "RE2 has no such escape and no back-references; write the part out",
        "没有这种转义，也不支持反向引用，请把内容写出来",
    ),
    (
        "bad repetition",
        "RE2 has no possessive or doubled repeats; remove a sign",
        "重复符号写了两个，请删掉一个",
    ),
    ("repetition size", "repeat at most 1000 times", "最多重复 1000 次"),
    (
        "no argument for repetition",
        "put a character before the sign, or \\ to mean the sign itself",
        "重复符号前面要有字；要匹配符号本身，请在前面加 \\",
    ),
    ("missing ]", "close the character class, or write \\[ for a bracket", "缺少 ]；要匹配方括号，请写 \\["),
    ("missing )", "close the group, or write \\( for a bracket", "缺少 )；要匹配括号，请写 \\("),
    ("unexpected )", "open the group, or write \\) for a bracket", "多了 )；要匹配括号，请写 \\)"),
    (
        "class range: \\",
        "RE2 knows \\d \\s \\w, \\pL, \\p{Han} and the like",
        "可以用 \\d \\s \\w \\p{Han} 等",
    ),
    ("class range", "write the lower end of the range first", "范围要从小到大写"),
    ("trailing \\", "write \\\\ for a backslash", "要匹配反斜杠，请写 \\\\"),
    ("", "see the syntax of RE2", "请参考 RE2 语法"),
)


def check_regex(pattern: str, normalise: Callable[[str], str]) -> None:
    """Refuse a pattern that cannot be used as a trigger.

    Raises:
        RuleRefusedError: RE2 does not understand it, it is too large, or it matches without
            any character; says what to write instead.
    """
    fitted = fit_pattern(pattern, normalise)
    if _HALF_CHARACTER in fitted.replace("\\\\", ""):
        raise RuleRefusedError(_syntax_fault(f"invalid escape sequence: {_HALF_CHARACTER}"))
    try:
        compiled = _compiled(fitted)
    except re2.error as error:
        raise RuleRefusedError(_syntax_fault(error.args[0].decode(errors="replace"))) from None
    if compiled.programsize > MAX_PROGRAM:
        raise RuleRefusedError(_size_fault())
    # An assertion such as \b alone matches nothing in the empty text, but does beside a letter.
    if any((found := compiled.search(text)) and not found.group() for text in ("", "a", "中")):
        fault = RuleFault(
            "regex_matches_empty",
            "",
            "the pattern matches without any character, so it would fire on every message",
            "use + instead of *, or add a character that must be there",
        )
        raise RuleRefusedError(fault)


class RegexIndex:
    """Patterns of many rules, built once, then read only.

    Attributes:
        broken: Numbers of the patterns RE2 does not understand; they never match.
    """

    __slots__ = ("_patterns", "_sets", "broken")

    def __init__(self, patterns: Sequence[str]) -> None:
        """Take patterns that `fit_pattern` has fitted; they are numbered as they stand."""
        self._patterns = tuple(patterns)
        broken: list[int] = []
        self._sets: list[_PatternSet] = []
        for start in range(0, len(patterns), _SET_SIZE):
            numbers = range(start, min(start + _SET_SIZE, len(patterns)))
            self._sets += _pattern_sets(self._patterns, numbers, broken)
        self.broken = tuple(broken)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Return (pattern number, characters matched) of every pattern found in `text`.

        The length is that of the longest match at the first place where there is one.
        """
        data = text.encode()
        return [
            (number, length)
            for patterns in self._sets
            for number in patterns.candidates(data)
            if (length := _length(self._patterns[number], text))
        ]


class _PatternSet:
    """Patterns searched in one pass; building it proves that the pass has the memory it needs."""

    __slots__ = ("_numbers", "_set")

    def __init__(self, patterns: Sequence[str], numbers: Sequence[int]) -> None:
        """Compile the patterns with these numbers.

        Raises:
            re2.error: One of them is wrong, or together they are too large.
            UnicodeEncodeError: One of them holds half a surrogate pair.
        """
        self._numbers = numbers
        self._set = re2.Set.SearchSet(_options(_SET_MEMORY_BYTES))
        for number in numbers:
            self._set.Add(patterns[number])
        self._set.Compile()

    def candidates(self, data: bytes) -> list[int]:
        """Return the numbers of the patterns that are in a text in UTF-8, in rising order."""
        return sorted(self._numbers[place] for place in self._set.Match(data) or ())


def _pattern_sets(patterns: Sequence[str], numbers: Sequence[int], broken: list[int]) -> list[_PatternSet]:
    """Build sets for the patterns of `numbers`: one if they fit, else of halves; note broken ones."""
    try:
        return [_PatternSet(patterns, numbers)]
    except (re2.error, UnicodeEncodeError):
        if len(numbers) == 1:
            broken.append(numbers[0])
            return []
    middle = len(numbers) // 2
    return [
        *_pattern_sets(patterns, numbers[:middle], broken),
        *_pattern_sets(patterns, numbers[middle:], broken),
    ]


def _length(pattern: str, text: str) -> int:
    """Return how many characters a pattern matches, 0 where it does not."""
    try:
        found = _compiled(pattern).search(text)
    except re2.error:  # fits into a set, but is far larger than `check_regex` lets through
        return 0
    return len(found.group()) if found else 0


def _compiled(pattern: str) -> Any:
    """Compile one pattern; the library remembers the last 128, so hits are quick and memory is bounded."""
    return re2.compile(pattern, _options(_PATTERN_MEMORY_BYTES))


def _options(max_mem_bytes: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = False
    options.longest_match = True
    options.never_capture = True
    options.max_mem = max_mem_bytes
    return options


def _syntax_fault(said: str) -> RuleFault:
    if "too large" in said:
        return _size_fault()
    cure, chinese = next((cure, chinese) for sign, cure, chinese in _CURES if sign in said)
    values = {"said": said, "chinese_cure": chinese}
    return RuleFault("regex_syntax", "", f"not a usable regular expression: {said}", cure, values)


def _size_fault() -> RuleFault:
    return RuleFault(
        "regex_too_large",
        "",
        "the pattern is too large to be run on every message",
        "shorten its repeats or split it over several triggers",
        {"limit": MAX_PROGRAM},
    )
