"""What is wrong with a keyword rule, in a form that API, import and chat can all show."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING

from bot.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

# Codes of `RuleFault` in Chinese; the names in braces are its `values`.
_CHINESE: Mapping[str, str] = MappingProxyType(
    {
        "unknown_choice": "没有“{value}”这个选项，可以用：{valid}",
        "count": "有 {count} 项，应为 {low} 到 {high} 项",
        "duplicate": "内容重复，请删掉一个",
        "unstorable": "含有无法保存的字符，请重新输入",
        "empty": "没有看得见的文字，请至少写一个字",
        "too_many_characters": "有 {size} 个字，最多 {limit} 个，请写短一些",
        "too_many_bytes": "有 {size} 字节（一个汉字占 3 字节），最多 {limit} 字节，请写短一些",
        "out_of_range": "{value} 超出范围，请用 {low} 到 {high} 之间的数",
        "bad_window": "“{window}”不是时段，请写成 09:00-18:00、22:00-02:00 或 18:00-24:00，留空表示全天",
        "shadowed_by_command": "“{command}”是聊天命令，命令先于关键词回答；请换一个词，或改用包含匹配",
        "unknown_variable": "没有变量“{variable}”，可以用：{known}；要显示花括号，请写成 {{{{ 和 }}}}",
        "lone_brace": "花括号 {brace} 没有成对；要显示它，请写成 {brace}{brace}",
        "regex_syntax": "正则表达式用不了（{said}）：{chinese_cure}",
        "regex_too_large": "正则表达式太大，不能用在每条消息上；请缩短重复次数，或拆成几个触发词",
        "regex_matches_empty": "没有任何文字也会匹配，每条消息都会触发；请把 * 换成 +，或加上必须出现的字",
    }
)
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "triggers": "触发词", "match": "匹配方式", "answers": "回复", "pick": "选取方式",
        "priority": "优先级", "cool_down_s": "冷却秒数", "cool_down_scope": "冷却范围",
        "hours": "时段", "weekdays": "星期", "groups": "群",
    }
)  # fmt: skip
_PATH = re.compile(r"(\w+)(?:\[(\d+)\])?")


@dataclass(frozen=True, slots=True)
class RuleFault:
    """One thing wrong with a rule a person wrote.

    Attributes:
        code: Stable word of the product, one of the keys of the Chinese texts.
        path: Where in the rule: ``triggers[0]``, ``hours[1]``, ``priority``.
        problem: What is wrong, in English.
        cure: What to do about it, in English.
        values: What a text names: limits, words, valid ones.
    """

    code: str
    path: str
    problem: str
    cure: str
    values: Mapping[str, str | int] = field(default_factory=dict)

    def __str__(self) -> str:
        """Return the fault as one English line."""
        said = f"{self.problem} ({self.cure})"
        return f"{self.path}: {said}" if self.path else said

    def text(self, language: str) -> str:
        """Return the fault as one line in Chinese for ``zh…``, else in English."""
        if not language.startswith("zh"):
            return str(self)
        said = _CHINESE[self.code].format_map(self.values)
        found = _PATH.fullmatch(self.path)
        if not found:
            return said
        name = _FIELDS.get(found[1], found[1])
        return f"{name}：{said}" if found[2] is None else f"第 {int(found[2]) + 1} 个{name}：{said}"


class RuleRefusedError(RefusedError):
    """A trigger or an answer cannot be used; `fault` says why, without a path."""

    def __init__(self, fault: RuleFault) -> None:
        """Carry `fault`."""
        self.fault = fault
        super().__init__(str(fault))
