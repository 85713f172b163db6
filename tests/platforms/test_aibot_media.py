"""Pictures and files of the AI bot: decrypted as an independent library encrypts them."""

from __future__ import annotations

from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto.cryptography import WeChatCipher

from bot.errors import UndecodableError
from bot.platforms.wecom.aibot_media import decrypt_media

KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
RAW = b64decode(KEY + "=")


def encrypt(data: bytes, *, padding: bytes | None = None) -> bytes:
    missing = 32 - len(data) % 32
    encrypted = WeChatCipher(RAW).encrypt(data + (bytes([missing]) * missing if padding is None else padding))
    assert isinstance(encrypted, bytes)
    return encrypted


@given(st.binary(max_size=200))
def test_what_was_encrypted_comes_back(data: bytes) -> None:
    assert decrypt_media(encrypt(data), KEY) == data
    assert decrypt_media(encrypt(data), b64encode(RAW).decode()) == data


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"x",
        encrypt(b"picture")[:-1],
        encrypt(b"x" * 31, padding=b"\0"),
        encrypt(b"x" * 31, padding=b"\x21"),
        encrypt(b"x" * 30, padding=b"\x01\x02"),
    ],
)
def test_what_is_not_whole_or_wrongly_padded_is_refused(broken: bytes) -> None:
    with pytest.raises(UndecodableError):
        decrypt_media(broken, KEY)


@pytest.mark.parametrize("key", ["", "short", "!" * 43, KEY + KEY])
def test_a_key_that_is_none_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ValueError, match="base64 of 32 bytes"):
        decrypt_media(encrypt(b"picture"), key)
