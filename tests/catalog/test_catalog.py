from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.catalog import Catalog, load_catalog
from bot.errors import ConfigError

Write: TypeAlias = Callable[[dict[str, str]], Path]
NAMES = st.from_regex(r"[a-z_][a-z0-9_]{0,10}", fullmatch=True).filter(lambda name: name != "pick_by")


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write files, given as relative path → text, and return their directory."""

    def write_files(files: dict[str, str]) -> Path:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write_files


def faults_of(directory: Path) -> list[tuple[str, str, str]]:
    """Return where (relative), key and problem of each fault."""
    with pytest.raises(ConfigError) as caught:
        load_catalog(directory)
    return [
        (fault.where.removeprefix(f"{directory}/"), fault.path, fault.problem)
        for fault in caught.value.faults
    ]


def test_a_text_is_filled_in_the_language_asked_for(write: Write) -> None:
    catalog = load_catalog(
        write(
            {
                "zh-CN/check_in.yaml": 'check_in.done: "{name}，签到成功，+{points}"\n',
                "en/any_name.yaml": "check_in.done: '{name} checked in: +{points}'\n",
            }
        )
    )
    assert catalog.languages == {"zh-CN", "en"}
    assert catalog.text("zh-CN", "check_in.done", name="小安", points=10) == "小安，签到成功，+10"
    assert catalog.text("en", "check_in.done", name="Ana", points=10) == "Ana checked in: +10"


def test_an_unknown_language_is_answered_in_chinese(write: Write) -> None:
    catalog = load_catalog(write({"zh-CN/a.yaml": "hello: 你好"}))
    assert catalog.text("fr", "hello") == "你好"


def test_a_value_is_put_in_literally_whatever_it_holds(write: Write) -> None:
    """A nickname is the member's own: it must neither read other values nor break the text."""
    catalog = load_catalog(write({"zh-CN/a.yaml": "hi: '{name}: {points}'"}))
    for name in ("{points}", "{name}", "{0.__class__}", "{", "}}", "%s", "\\1"):
        assert catalog.text("zh-CN", "hi", name=name, points=3) == f"{name}: 3"


def test_double_braces_are_the_braces_themselves(write: Write) -> None:
    catalog = load_catalog(write({"zh-CN/a.yaml": "hi: '{{name}} {{{name}}} }}{{'"}))
    assert catalog.text("zh-CN", "hi", name="x") == "{name} {x} }{"


def test_every_name_of_a_value_may_be_used_but_the_one_of_the_choice(write: Write) -> None:
    catalog = load_catalog(write({"zh-CN/a.yaml": "hi: '{self} {language} {key}'"}))
    assert catalog.text("zh-CN", "hi", self=1, language=2, key=3) == "1 2 3"


def test_texts_look_as_written_and_end_without_a_line_break(write: Write) -> None:
    catalog = load_catalog(
        write({"zh-CN/a.yaml": "menu: |\n  一\n\n  二 #1: x\nnumber: 007\nanswer: yes\nday: 2024-01-01\n"})
    )
    texts = [catalog.text("zh-CN", key) for key in ("menu", "number", "answer", "day")]
    assert texts == ["一\n\n二 #1: x", "007", "yes", "2024-01-01"]


def test_variants_vary_and_the_same_event_gets_the_same_one(write: Write) -> None:
    catalog = load_catalog(write({"zh-CN/a.yaml": "hi: ['早，{name}', '你好，{name}', '{name}，来了']"}))
    texts = {event: catalog.text("zh-CN", "hi", pick_by=f"app:ana:{event}", name="安") for event in range(50)}
    assert set(texts.values()) == {"早，安", "你好，安", "安，来了"}
    for event, text in texts.items():
        assert catalog.text("zh-CN", "hi", pick_by=f"app:ana:{event}", name="安") == text
    assert len({catalog.text("zh-CN", "hi", name="安") for _ in range(20)}) == 1
    assert len({catalog.text("zh-CN", "hi", name=f"安{index}")[:1] for index in range(50)}) == 3


def test_values_that_a_text_does_not_mention_are_left_out(write: Write) -> None:
    assert load_catalog(write({"zh-CN/a.yaml": "hi: 你好"})).text("zh-CN", "hi", name="x") == "你好"


def test_all_faults_of_all_files_come_at_once(write: Write) -> None:
    directory = write(
        {
            "zh-CN/a.yaml": "one: '{name}'\ntwo: 二\n\nthree: ['{a}', '{b']\nfour:\nFive: 五\n",
            "zh-CN/b.yaml": "two: 二\nsix: {nested: x}\nseven: []\n",
            "en/a.yaml": "one: '{nick}'\ntwo: two\nthree: '{a}'\nfour: '{x:>3}'\nsix: six\nseven: ['', x]\n",
            "en/b.yml": "eight: eight\n",
            "zh-CN/notes.txt": "not looked at",
            "games.yaml": "nor: this",
            "quiz/a.yaml": "nor: {this: one}",
        }
    )
    assert sorted(faults_of(directory)) == sorted(
        [
            ("zh-CN/a.yaml:4", "three[1]", "{b is not a placeholder"),
            ("zh-CN/a.yaml:5", "four", "has no text"),
            ("zh-CN/a.yaml:6", "Five", "is not a good key"),
            ("zh-CN/b.yaml:1", "two", "is there twice"),
            ("zh-CN/b.yaml:2", "six", "must be a text or a list of texts"),
            ("zh-CN/b.yaml:3", "seven", "has no text"),
            ("en/a.yaml:4", "four", "{x:>3} is not a placeholder"),
            ("en/a.yaml:6", "seven[0]", "has no text"),
            ("en/b.yml:1", "(file)", "is not read"),
            ("zh-CN/a.yaml:6", "Five", "has no en text"),
            (
                "en/a.yaml:1",
                "one",
                f"the en text has {{nick}}, {directory}/zh-CN/a.yaml:1 has {{name}}",
            ),
        ]
    )


@pytest.mark.parametrize(
    "text",
    [
        "{}", "{0}", "{a.b}", "{a[0]}", "{a!r}", "{a:d}", "{ a }", "{A}", "{名字}", "{", "}", "a } b",
        "{pick_by}", "｛name｝", "{a{b}}",
    ],
)  # fmt: skip
def test_only_simple_placeholders_are_accepted(write: Write, text: str) -> None:
    problems = {problem for _where, _key, problem in faults_of(write({"zh-CN/a.yaml": f"hi: '{text}'"}))}
    assert all(problem.endswith("is not a placeholder") for problem in problems)


@pytest.mark.parametrize(
    ("text", "where", "key"),
    [
        ("hi: {name} hello", "zh-CN/a.yaml:1", "(file)"),
        ("a: 一\na: 二", "zh-CN/a.yaml:2", "a"),
        ("a: !file x", "zh-CN/a.yaml:1", "a"),
        ("- a", "zh-CN/a.yaml:1", "(file)"),
        ("a: 一\nb: [一, {c: d}]", "zh-CN/a.yaml:2", "b[1]"),
        ("a b: 一", "zh-CN/a.yaml:1", "a b"),
    ],
)
def test_a_file_of_another_shape_is_refused_at_its_line(
    write: Write, text: str, where: str, key: str
) -> None:
    assert (where, key) in [(where, key) for where, key, _ in faults_of(write({"zh-CN/a.yaml": text}))]


def test_a_file_that_cannot_be_read_is_the_only_fault(write: Write) -> None:
    """Its keys are not reported as missing on top of it."""
    directory = write({"zh-CN/a.yaml": "hi: 你好", "zh-CN/b.yaml": "x: '", "en/a.yaml": "hi: hi\nx: x"})
    (directory / "zh-CN" / "c.yaml").mkdir()
    assert [where for where, _key, _problem in faults_of(directory)] == ["zh-CN/b.yaml:1", "zh-CN/c.yaml:1"]


def test_without_chinese_there_is_nothing_to_fall_back_to(write: Write) -> None:
    (fault,) = faults_of(write({"en/a.yaml": "hi: hi"}))
    assert fault[1:] == ("zh-CN", "there is no such directory")
    with pytest.raises(ConfigError, match="there is no such directory"):
        load_catalog(Path("no/such/directory"))


def test_what_the_code_needs_is_checked_at_start(write: Write) -> None:
    directory = write(
        {"zh-CN/a.yaml": "hi: 你好\nbye: '{name}{at}'\n", "en/a.yaml": "bye: '{at} {name}'\nhi: hi\n"}
    )
    catalog = load_catalog(directory)
    catalog.require(["hi", "bye"])
    catalog.require({"hi": ["name"], "bye": {"name", "at", "more"}})
    with pytest.raises(ConfigError) as caught:
        catalog.require({"hi": [], "bye": ["name"], "gone": []})
    assert [(fault.where.removeprefix(f"{directory}/"), fault.path) for fault in caught.value.faults] == [
        ("en/a.yaml:1", "bye"),
        ("zh-CN/a.yaml:2", "bye"),
        ("zh-CN/a.yaml:1", "gone"),
    ]
    with pytest.raises(ConfigError, match="gone: has no text"):
        catalog.require(["hi", "gone"])


def test_a_text_that_is_not_there_is_a_mistake_of_the_program(write: Write) -> None:
    catalog = load_catalog(write({"zh-CN/a.yaml": "hi: '{name}'"}))
    with pytest.raises(KeyError, match="gone"):
        catalog.text("zh-CN", "gone")
    with pytest.raises(KeyError, match="name"):
        catalog.text("zh-CN", "hi")


def test_an_empty_file_and_an_empty_language_are_no_faults(write: Write) -> None:
    assert isinstance(load_catalog(write({"zh-CN/a.yaml": "", "en/b.yaml": "# soon"})), Catalog)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)  # each example writes the file anew
@given(
    pieces=st.lists(
        st.tuples(st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20), NAMES),
        min_size=1,
        max_size=5,
    ),
    end=st.text("ab{}'\"%$\\ ", max_size=10),
    data=st.data(),
)
def test_a_text_is_exactly_its_literals_and_values(
    write: Write, pieces: list[tuple[str, str]], end: str, data: st.DataObject
) -> None:
    def quoted(text: str) -> str:
        return text.replace("{", "{{").replace("}", "}}")

    values = {name: data.draw(st.text(max_size=20)) for _literal, name in pieces}
    text = "".join(f"{quoted(literal)}{{{name}}}" for literal, name in pieces) + quoted(end)
    as_yaml = "hi: '" + text.replace("'", "''") + "'\n"
    catalog = load_catalog(write({"zh-CN/a.yaml": as_yaml}))
    expected = "".join(f"{literal}{values[name]}" for literal, name in pieces) + end
    assert catalog.text("zh-CN", "hi", **values) == expected
