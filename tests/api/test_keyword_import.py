from __future__ import annotations

import asyncio
import io
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from bot.api.keyword_files import rows_of
from bot.api.keyword_forms import RuleReader
from bot.api.keyword_import import IMPORT_BYTES, read_rules
from bot.api.problem import ProblemError
from tests.api.world import Reply, World

KEYWORDS = "/communities/milk/keywords"
JSON, CSV, YAML = "application/json", "text/csv", "application/yaml"
ROWS: list[dict[str, Any]] = [
    {"triggers": ["牛奶", "鲜奶"], "answers": ["好的", "收到"], "match": "exact", "pick": "in_turn",
     "priority": 5},
    {"triggers": ["a|b"], "answers": ["多行\n回复，{name}"], "match": "regex", "cool_down_s": 60,
     "cool_down_scope": "member", "hours": ["09:00-12:00", "14:00-18:00"], "weekdays": [1, 2, 3, 6],
     "groups": ["wr1", "wr2"], "enabled": False},
    {"triggers": ["666"], "answers": ["牛"]},
]  # fmt: skip
AS_CSV = """\
触发词,回复,回复2,匹配方式,pick,优先级,冷却秒数,cool_down_scope,时段,星期,群,启用
牛奶|鲜奶,好的,收到,精确,轮流,5,,,,,,
a|b,"多行
回复，{name}",,正则,,,60,成员,"09:00-12:00,14:00-18:00",1-3 6,wr1 wr2,否
666,牛,,,,,,,,,,

"""
AS_YAML = """\
# rules
- triggers: [牛奶, 鲜奶]
  answers:
    - 好的
    - 收到
  match: exact
  pick: in_turn
  priority: 5
- 触发词: a|b
  answers: "多行\\n回复，{name}"
  match: regex
  cool_down_s: 60
  cool_down_scope: member
  hours: [09:00-12:00, 14:00-18:00]
  weekdays: [1-3, 6]
  groups: wr1 wr2
  enabled: no
- triggers: 666
  answers: 牛
  hours:
"""


async def load(world: World, data: bytes | str, content_type: str) -> Reply:
    body = io.BytesIO(data if isinstance(data, bytes) else data.encode())
    return await world.ask("POST", f"{KEYWORDS}/import", data=body, headers={"Content-Type": content_type})


async def test_a_file_adds_its_rules_to_those_that_are_there(world: World) -> None:
    files: list[tuple[bytes | str, str]] = [
        (orjson.dumps(ROWS), JSON),
        (orjson.dumps(ROWS, option=orjson.OPT_INDENT_2) + b"\n\n", "application/json; charset=utf-8"),
        (AS_CSV, CSV),
        (AS_CSV.replace(",", ";").replace("09:00-12:00;", "09:00-12:00,"), CSV),
        (AS_CSV.encode("utf-8-sig"), "Text/CSV; header=present"),
        (AS_CSV.encode("gb18030"), CSV),
        (AS_YAML, YAML),
        (AS_YAML.replace("\n", "\r\n").encode("utf-8-sig"), "text/x-yaml"),
    ]
    for number, (data, content_type) in enumerate(files):
        reply = await load(world, data, content_type)
        assert (reply.status, reply.body) == (201, {"added": 3}), (number, reply)
        rules = await world.items(KEYWORDS)
        assert len(rules) == 3 * (number + 1)
        added = [{name: rule[name] for name in row} for rule, row in zip(rules[-3:], ROWS, strict=True)]
        assert added == ROWS, number


async def test_the_line_breaks_of_a_spreadsheet_stay_in_an_answer(world: World) -> None:
    await load(world, 'trigger;answer\r\na;"x\r\ny"\r\n', CSV)
    (rule,) = await world.items(KEYWORDS)
    assert (rule["triggers"], rule["answers"]) == (["a"], ["x\r\ny"])


async def test_one_wrong_row_keeps_all_out_and_every_fault_names_its_row(world: World) -> None:
    rows = [
        *ROWS,
        {"triggers": [], "answers": ["{x}"], "match": "exact"},
        5,
        {"answers": ["x"], "trigger": "y"},
    ]
    reply = await load(world, orjson.dumps(rows), JSON)
    assert reply.word == "invalid"
    assert list(reply.flaws) == ["[3].triggers", "[3].answers[0]", "[4]", "[5].triggers", "[5].trigger"]
    in_csv = await load(world, "triggers,answers,prio\n甲,x,\n乙,{y},\n丙,z,3\n", CSV)
    assert {path: problem for path, (problem, _) in in_csv.flaws.items()} == {
        "[1].answers[0]": "line 3: there is no variable {y}",
        "[2].prio": "line 4: is not known",
    }
    in_yaml = await load(world, "- triggers: a\n  answers: b\n- triggers: a\n  weekdays: [x]\n", YAML)
    assert {path: problem.partition(":")[0] for path, (problem, _) in in_yaml.flaws.items()} == {
        "[1].answers": "line 3",
        "[1].weekdays[0]": "line 3",
    }
    assert await world.items(KEYWORDS) == []


async def test_a_file_that_cannot_be_read_says_where(world: World) -> None:
    cases: list[tuple[bytes | str, str, str]] = [
        ("", JSON, "array"), ("{}", JSON, "array"), ('[{"a": 1}', JSON, "missing"), ("[] x", JSON, "follows"),
        ('[\n{"a" 1}]', JSON, "line 2, column 6"), ("[NaN]", JSON, "NaN"), ("[" * 100_000, JSON, "recursion"),
        ("[1" + "0" * 5000 + "]", JSON, "line 1"), (b"\xff\xfe[]", JSON, "UTF-8"),
        ("", CSV, "header"), ("\n\n", CSV, "header"), ('triggers,answers\n"a,b\n', CSV, "line"),
        (b"\xff\xff\xff", CSV, "GB18030"), ("a: 1", YAML, "no list"), ("text", YAML, "no list"),
        ("- &a {triggers: x}\n- *a\n", YAML, "aliases"), ("- [[[[[1]]]]]", YAML, "nested"),
        ("[" * 100_000, YAML, "nested"), ("- a\n---\n- b\n", YAML, "more than one"), ("- \x01", YAML, "YAML"),
        ("- a: b: c", YAML, "line 1"),
    ]  # fmt: skip
    for data, content_type, said in cases:
        reply = await load(world, data, content_type)
        assert (reply.status, reply.word) == (400, "undecodable"), data[:50]
        assert said.lower() in reply.body["detail"].lower(), (data[:50], reply.body["detail"])


async def test_a_file_may_have_32_mib_and_not_a_byte_more(world: World) -> None:
    rule = b'[{"triggers":["a"],"answers":["b"]}]'
    assert (await load(world, rule + b" " * (IMPORT_BYTES - len(rule)), JSON)).status == 201
    assert (await load(world, rule + b" " * (IMPORT_BYTES - len(rule) + 1), JSON)).word == "too_large"
    two_mib = io.BytesIO(b" " * (1 << 21))
    other = await world.ask("POST", KEYWORDS, data=two_mib, headers={"Content-Type": JSON})
    assert other.word == "too_large"


async def test_types_that_are_not_taken_are_named_with_those_that_are(world: World) -> None:
    for content_type in ("application/xml", "multipart/form-data; boundary=x", "text/plain"):
        reply = await load(world, "[]", content_type)
        assert reply.word == "unsupported_media_type", content_type
        assert "text/csv" in reply.body["detail"]


async def test_the_server_goes_on_answering_while_a_large_file_is_read(world: World) -> None:
    rules = [{"triggers": [f"触发{n}"], "answers": [f"第{n}条"]} for n in range(15_000)]
    importing = asyncio.create_task(load(world, orjson.dumps(rules), JSON))
    answered = 0
    while not importing.done():
        assert await world.say(f"u{answered}", "hello") is None
        answered += 1
    assert (await importing).body == {"added": 15_000}
    assert answered > 20


async def test_what_is_exported_can_be_imported_again(world: World) -> None:
    assert (await world.get(f"{KEYWORDS}/export")).body == []
    await load(world, orjson.dumps([{**row, "priority": n} for n in range(401) for row in ROWS]), JSON)

    exported = await world.get(f"{KEYWORDS}/export")

    assert exported.headers["Content-Disposition"] == 'attachment; filename="keywords.json"'
    assert exported.headers["Cache-Control"] == "no-store"
    assert exported.body == await world.items(KEYWORDS, limit="200")
    assert len(exported.body) == 1203
    there = await world.ask("POST", "/communities/tea/keywords/import", json=exported.body)
    assert there.body == {"added": 1203}
    first = (await world.items("/communities/tea/keywords", limit="200"))[0]
    assert {**first, "id": 0} == {**exported.body[0], "id": 0}


def test_faults_are_counted_only_up_to_a_few_hundred() -> None:
    rules, flaws = read_rules(b"[" + b"1," * 10_000 + b"1]", JSON, RuleReader(frozenset(), str.lower))
    assert len(rules) == 500
    assert len(flaws) == 501
    assert "not read" in flaws[-1].problem


@given(data=st.one_of(st.binary(max_size=200), st.text(max_size=200).map(lambda text: text.encode())))
def test_no_bytes_are_more_than_a_problem(data: bytes) -> None:
    reader = RuleReader(frozenset(), str.lower)
    problems = set()
    for content_type in (JSON, CSV, YAML):
        try:
            for row in rows_of(data, content_type):
                reader.read(row.value)
        except ProblemError as problem:
            problems.add(problem.status)
    assert problems <= {400}
