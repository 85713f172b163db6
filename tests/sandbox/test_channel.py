"""The sandbox's side of a configured channel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bot.config import load_config
from bot.sandbox.channel import SandboxChannel

if TYPE_CHECKING:
    from pathlib import Path

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
CONFIG = f"""
channels:
  - {{name: app, kind: wecom_app, corp_id: ww1, agent_id: 7, secret: sec1, token: tok1,
     encoding_aes_key: {KEY}}}
  - {{name: oa, kind: wechat_oa, app_id: wx1, secret: sec2, token: tok2, mode: plain, original_id: gh_1}}
  - {{name: oa2, kind: wechat_oa, app_id: wx2, secret: sec3, token: tok3, encoding_aes_key: {KEY}}}
"""


def test_both_kinds_of_channel_are_taken_from_the_configuration(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(CONFIG, encoding="utf-8")

    app, plain, account = map(SandboxChannel.from_config, load_config(path, {}).channels)

    assert app == SandboxChannel("app", "wecom_app", "ww1", "ww1", "tok1", KEY, "sec1", 7)
    assert plain == SandboxChannel("oa", "wechat_oa", "wx1", "gh_1", "tok2", "", "sec2", mode="plain")
    assert (account.receiver_id, account.account_id, account.mode) == ("wx2", "gh_oa2", "encrypted")


def test_secrets_do_not_show() -> None:
    shown = repr(SandboxChannel("app", "wecom_app", "ww1", "ww1", "tok1", KEY, "sec1", 7))

    assert not any(secret in shown for secret in ("tok1", "sec1", KEY))
