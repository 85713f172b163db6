"""The bytes behind the links of pictures, files and videos that were sent to an AI bot.

A link is good for five minutes and holds the bytes encrypted: AES-256-CBC, the IV being the first 16 bytes of
the key, PKCS#7 over 32 bytes. The key is the channel's EncodingAESKey in callback mode, and comes with the
message (`aes_key` of its content) on the long connection.

Source: WeCom, AI bot, incoming JSON (media decrypt).
"""

from __future__ import annotations

import binascii
from base64 import b64decode

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.errors import UndecodableError

_KEY_BYTES = 32
_AES_BLOCK_BYTES = 16
_PADDING_BLOCK_BYTES = 32


def decrypt_media(data: bytes, aes_key: str) -> bytes:
    """Return what `data`, fetched from a link, holds.

    `aes_key` is base64 of 32 bytes, with or without the equals sign; bits too many in its last character
    are ignored, as in an EncodingAESKey.

    Raises:
        ValueError: `aes_key` is none; the text does not show it.
        UndecodableError: `data` is not whole, or not encrypted with this key.
    """
    key = _key(aes_key)
    if not data or len(data) % _AES_BLOCK_BYTES:
        raise UndecodableError("the media is not a whole number of cipher blocks")
    decryptor = Cipher(algorithms.AES(key), modes.CBC(key[:_AES_BLOCK_BYTES])).decryptor()
    plain = decryptor.update(data) + decryptor.finalize()
    padding = plain[-1]
    if not 1 <= padding <= _PADDING_BLOCK_BYTES or not plain.endswith(bytes([padding]) * padding):
        raise UndecodableError("the media has wrong padding")
    return plain[:-padding]


def _key(aes_key: str) -> bytes:
    try:
        key = b64decode(aes_key.rstrip("=") + "=", validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError("a media key is base64 of 32 bytes")
    return key
