from __future__ import annotations

import re
import traceback
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bot.config import StoreUrl, WechatOaChannel, WecomAppChannel, load_config
from bot.errors import ConfigError
from tests.config.conftest import GOOD_AES_KEY, ConfigFile

if TYPE_CHECKING:
    from pathlib import Path

SECRET = "Zq7Xw9Kv3Jh5"
GOOD = f"""\
server: {{port: 8080}}
storage:
  redis: redis://:{SECRET}@db:6379/0
  database: postgresql+asyncpg://bot:{SECRET}@db/bot
channels:
  - name: app
    kind: wecom_app
    corp_id: ww1
    agent_id: 7
    secret: {SECRET}
    token: "{SECRET}"
    encoding_aes_key: {SECRET}{GOOD_AES_KEY[: 43 - len(SECRET)]}
  - {{name: oa, kind: wechat_oa, app_id: wx1, secret: {SECRET}, token: {SECRET}, mode: plain}}
communities:
  - {{id: milk, channels: [app, oa], managers: ["app:ana"]}}
"""
NOISE = st.sampled_from([
    *":,{}[]'\"#&*!|>%@`-=\n\t~$\x00x",
    *("${", "${NO}", "${ENV}", "!file ", "!!int ", "<<: ", "  ", "\n  ", ": ", "- "),
])  # fmt: skip


@st.composite
def broken_texts(draw: st.DrawFn) -> str:
    """A good file with a few pieces cut out and a few pieces of YAML put in, never inside a secret."""
    text = GOOD
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        for match in re.finditer(SECRET, text):
            if match.start() < end and start < match.end():
                start, end = match.end(), match.end()
        text = text[:start] + draw(NOISE) + text[end:]
    return text


def everything_said(path: Path, environ: dict[str, str]) -> str:
    """Return all that a person or a log could see of loading the file, frames of the stack left out."""
    try:
        config = load_config(path, environ)
    except ConfigError as error:
        chain = "".join(traceback.format_exception_only(error))
        context = f"{error.__cause__!r} {error.__context__!r}"
        return f"{chain} {context} {error!r} {error.faults!r} {[str(fault) for fault in error.faults]}"
    return f"{config!r} {config} {config.model_dump()!r} {config.model_dump_json()}"


def test_the_good_file_is_good(file: ConfigFile) -> None:
    """Otherwise the tests below would look at nothing."""
    config = file.load(GOOD)
    assert isinstance(config.channels[1], WecomAppChannel | WechatOaChannel)
    assert config.channels[1].token.get_secret_value() == SECRET
    assert SECRET in config.storage.redis.get_secret_value()
    assert SECRET not in everything_said(file.path, {})


@settings(
    max_examples=400,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # one file is enough: every example writes it anew
@given(text=broken_texts())
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret:{SECRET}"))
@example(text=GOOD.replace(f", token: {SECRET}", f", token:{SECRET}"))
@example(text=GOOD.replace(f", token: {SECRET}", f", {SECRET}"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret: *{SECRET}"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret: !{SECRET} x"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret: !x!{SECRET} x"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret: !file {SECRET}"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret: &{SECRET} x\n    a: &{SECRET} y"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"secret: '\\x{SECRET}"))
@example(text=GOOD.replace(f"secret: {SECRET}", f"kind: {SECRET}"))
@example(text=GOOD.replace("kind: wecom_app", f"kind: {SECRET}"))
@example(text=GOOD.replace("[app, oa]", f"[{SECRET}]"))
@example(text=GOOD.replace("app:ana", f"{SECRET}:ana"))
@example(text=GOOD.replace("port: 8080", f"port: {SECRET}"))
@example(text=GOOD.replace("mode: plain", f"mode: {SECRET}"))
@example(text=GOOD.replace("kind: wecom_app", f"kind: wecom_app\n    api_base: https://:{SECRET}@x"))
@example(text=GOOD.replace("name: app", "name: ${ENV}"))
@example(text=GOOD.replace(f"{SECRET}@db:6379", f"{SECRET}:db:6379"))
@example(text=f"%{SECRET}\n---\n{GOOD}")
def test_no_broken_file_makes_a_secret_visible(file: ConfigFile, text: str) -> None:
    file.path.write_bytes(text.encode())
    said = everything_said(file.path, {"ENV": SECRET})
    # A secret that became a key with a value of its own is no secret's value any more; nor is one that
    # became the name of a host.
    key = re.search(rf"{SECRET}[^\s:]*\s*:(?:\s|$)", text)
    host = said.startswith("Config(") and re.search(rf"://[^@\n]*{SECRET}[^@\n]*$", text, re.MULTILINE)
    if not key and not host:
        assert SECRET not in said


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    key=st.sampled_from(
        ["port", "host", "workers", "log_level", "public_url", "soft_deadline_s", "nonsense"]
    ),
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=40).map(SECRET.__add__),
)
def test_no_value_from_outside_is_ever_quoted(file: ConfigFile, key: str, secret: str) -> None:
    """Whatever key a secret lands at by mistake, by variable or by file."""
    (file.directory / "secret.txt").write_text(secret)
    for value in ("${ENV}", "!file secret.txt"):
        file.path.write_text(f"server: {{{key}: '{value}'}}".replace("'!file secret.txt'", value))
        said = everything_said(file.path, {"ENV": secret})
        if said.startswith("Config("):  # it was a good value of a public key, such as a host name
            assert key != "nonsense"
        else:
            assert secret not in said


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("embedded", "embedded"),
        ("redis://db:6379/0", "redis://db:6379/0"),
        ("redis://:pw@db/0", "redis://***@db/0"),
        ("redis://user:p@w/x@db/0", "redis://***@db/0"),
        ("redis://db/0?password=pw", "redis://db/0"),
        ("redis://db/0?password=p@w", "redis://***"),
        ("redis://:p?w@db/0", "redis://***"),
        ("redis://:p#w@db/0", "redis://***"),
        ("redis+sentinel://:pw@a:1,b:2/main", "redis+sentinel://***@a:1,b:2/main"),
        ("unix:///run/redis.sock?db=0", "unix:///run/redis.sock"),
        ("pw", "***"),
    ],
)
def test_an_address_is_shown_without_user_password_and_options(url: str, shown: str) -> None:
    assert str(StoreUrl(url)) == f"{StoreUrl(url)}" == shown
    assert repr(StoreUrl(url)) == f"StoreUrl('{shown}')"
    assert StoreUrl(url).get_secret_value() == url


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30))
def test_no_password_is_ever_shown_whatever_characters_it_has(noise: str) -> None:
    password = f"{noise}{SECRET}{noise}"
    assert SECRET not in str(StoreUrl(f"redis://user:{password}@db:6379/0"))
    assert SECRET not in str(StoreUrl(f"redis://db:6379/0?password={password}"))
