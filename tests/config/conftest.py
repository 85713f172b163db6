"""Write a configuration file, load it, read its faults."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest

from bot.config import Config, load_config
from bot.errors import ConfigError, Fault

if TYPE_CHECKING:
    from pathlib import Path

GOOD_AES_KEY = "0123456789abcdefghijABCDEFGHIJ0123456789ab8"


class ConfigFile:
    """One configuration file in a directory of its own; its environment is a plain dictionary."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.path = directory / "config.yaml"
        self.environ: dict[str, str] = {}

    def load(self, text: str | bytes) -> Config:
        """Load a file with this text, dedented."""
        data = text if isinstance(text, bytes) else textwrap.dedent(text).lstrip("\n").encode()
        self.path.write_bytes(data)
        return load_config(self.path, self.environ)

    def faults(self, text: str | bytes) -> list[Fault]:
        """Return the faults of a file with this text, which must have some."""
        with pytest.raises(ConfigError) as caught:
            self.load(text)
        return caught.value.faults

    def brief(self, text: str | bytes) -> list[tuple[int, str, str]]:
        """Return line, key path and problem of each fault."""
        faults = self.faults(text)
        assert {fault.where.rpartition(":")[0] for fault in faults} == {str(self.path)}
        return [(int(fault.where.rpartition(":")[2]), fault.path, fault.problem) for fault in faults]


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    return ConfigFile(tmp_path)


@pytest.fixture
def app_line() -> str:
    """A good WeCom channel called app, as one line of YAML."""
    return (
        "{name: app, kind: wecom_app, corp_id: ww1, agent_id: 1000002, secret: s3cr3t, token: tok1, "
        f"encoding_aes_key: {GOOD_AES_KEY}}}"
    )


@pytest.fixture
def oa_line() -> str:
    """A good Official Account channel called oa, as one line of YAML."""
    return (
        "{name: oa, kind: wechat_oa, app_id: wx1, secret: s3cr3t, token: tok1, "
        f"encoding_aes_key: {GOOD_AES_KEY}}}"
    )
