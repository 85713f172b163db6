"""Names and values of rules as people write them in files: English or Chinese, always text."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

_NAMES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "触发词": "triggers", "关键词": "triggers", "trigger": "triggers", "keyword": "triggers",
        "回复": "answers", "回复内容": "answers", "answer": "answers",
        "匹配方式": "match", "匹配": "match",
        "选取方式": "pick", "优先级": "priority",
        "冷却秒数": "cool_down_s", "冷却": "cool_down_s", "冷却范围": "cool_down_scope",
        "时段": "hours", "星期": "weekdays", "群": "groups", "启用": "enabled", "编号": "id",
    }
)  # fmt: skip
_VALUES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "match": {"精确": "exact", "完全": "exact", "包含": "contains", "前缀": "prefix", "开头": "prefix",
                  "正则": "regex", "正则表达式": "regex"},
        "pick": {"随机": "random", "轮流": "in_turn", "全部": "all"},
        "cool_down_scope": {"规则": "rule", "群": "group", "成员": "member"},
    }
)  # fmt: skip
_TRUTHS: Final[Mapping[str, bool]] = MappingProxyType(
    {
        **dict.fromkeys(("true", "yes", "on", "1", "是", "启用", "y"), True),
        **dict.fromkeys(("false", "no", "off", "0", "否", "停用", "n"), False),
    }
)
_WHOLE = frozenset({"id", "priority", "cool_down_s"})
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")
_DAYS = re.compile(r"([1-7])\s*[-~至到]\s*([1-7])")
_NUMBERED = re.compile(r"[\s_]*[0-9]+$")
_SEPARATOR = re.compile(r"[,，、;；|\s]+")


def name_of(written: str) -> str:
    """Return the field a column or key means; a name that is not known comes back as written."""
    plain = _NUMBERED.sub("", written.strip())
    return _NAMES.get(plain, _NAMES.get(plain.lower(), plain.lower()))


def list_of(name: str, cell: str, *, is_regex: bool) -> list[Any]:
    """Return the members of a list field that stands in one cell."""
    text = cell.strip()
    if text.startswith("[") and (members := _json_list(text)) is not None:
        return members
    if name == "answers":
        return [text]
    if name == "triggers":
        return [part.strip() for part in re.split(r"\n" if is_regex else r"[\n|]", text) if part.strip()]
    return [part for part in _SEPARATOR.split(text) if part]


def _json_list(text: str) -> list[Any] | None:
    try:
        members = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(members, list) and all(isinstance(member, str | int) for member in members):
        return [str(member) for member in members]
    return None


def from_text(name: str, value: Any) -> Any:
    """Return a value as its field's type; one that cannot be comes back as it is, to be refused by name."""
    if name == "weekdays" and isinstance(value, list):
        return [day for item in value for day in _days(item)]
    if not isinstance(value, str):
        return value
    if name in _WHOLE and _NUMBER.fullmatch(value):
        return int(value)
    if name == "enabled":
        return _TRUTHS.get(value.lower(), value)
    return _VALUES.get(name, {}).get(value, value)


def _days(item: Any) -> list[Any]:
    if not isinstance(item, str):
        return [item]
    if span := _DAYS.fullmatch(item):
        first, last = int(span[1]), int(span[2])
        return list(range(first, last + 1)) if first <= last else [item]
    return [int(item)] if _NUMBER.fullmatch(item) else [item]
