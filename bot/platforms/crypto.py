"""The cipher and signature of Tencent's callbacks, shared by WeCom and WeChat.

Source: WeCom, callback security (plaintext layout, padding, signature); WeChat uses the same with the
appid as receiver id.

Two liberties of the scheme make this fast without changing what goes over the wire:

* A plaintext begins with 16 random bytes that nobody reads. CBC needs the IV for exactly those, and the
  block before for everything after them. So one running CBC context serves all messages: on the way in
  only the 16 unread bytes come out as noise, on the way out the receiver gets other random bytes than
  we drew. A new context per message would cost 1.3 µs each way. The one thing a
  running context cannot bear is a part of a block left over, so lengths are checked before it is used.
* Those random bytes are drawn from the system in blocks.

An object belongs to one event loop. Two threads could only meet inside one call of the running context,
which refuses that with an error instead of mixing them. Workers are started by exec; a forked copy
would draw the same prefixes as its parent until the block is used up, which would show an eavesdropper
that two answers are equal and nothing else.
"""

from __future__ import annotations

import binascii
import hmac
import os
import re
from base64 import b64decode
from hashlib import sha1
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from bot.errors import ReceiverError, SignatureError, UndecodableError

if TYPE_CHECKING:
    from collections.abc import Callable

_AES_KEY = re.compile(r"[A-Za-z0-9+/]{43}")
_AES_BLOCK_BYTES = 16
_PREFIX_BYTES = 16  # random bytes nobody reads
_HEAD_BYTES = _PREFIX_BYTES + 4  # the prefix and the message's length
_PADDING_BLOCK_BYTES = 32  # PKCS#7 over 32 bytes, not over the cipher's 16
_RANDOM_BLOCK_BYTES = 4096
_NONCE_BYTES = 8
# Every valid padding, by its length; index 0 is none.
_PADDINGS = tuple(bytes([count]) * count for count in range(_PADDING_BLOCK_BYTES + 1))


def sign(*parts: bytes) -> bytes:
    """Return the platforms' signature: lower-case hex SHA-1 of the parts, sorted and joined.

    Source: WeCom, callback security, signature; WeChat, callback URL and security.
    """
    # SHA-1 is what the platforms sign with; collisions do not matter where a secret is among the parts.
    return sha1(b"".join(sorted(parts))).hexdigest().encode()  # noqa: S324


def check_signature(given: str, *parts: bytes) -> None:
    """Accept `given` as the signature of `parts`, compared in constant time.

    Raises:
        SignatureError: It is another one, or empty.
    """
    if not hmac.compare_digest(sign(*parts), given.encode()):
        raise SignatureError("wrong signature")


def decode_aes_key(encoding_aes_key: str) -> bytes:
    """Return the 32 bytes an EncodingAESKey stands for.

    The 43rd character carries two bits too many; consoles hand out keys in which they are not zero, so
    they are ignored.

    Raises:
        ValueError: It has not 43 characters of the base64 alphabet; the text does not show it.
    """
    if _AES_KEY.fullmatch(encoding_aes_key) is None:
        raise ValueError("an EncodingAESKey has exactly 43 letters and digits")
    return b64decode(encoding_aes_key + "=")


class RandomBytes:
    """Random bytes of the system, fetched a block at a time because each fetch is a system call."""

    def __init__(self, fetch: Callable[[int], bytes] = os.urandom) -> None:
        """Fetch through `fetch`, which takes a count and returns so many bytes."""
        self._fetch = fetch
        self._block = b""
        self._used = 0

    def take(self, count: int) -> bytes:
        """Return `count` bytes never returned before, at most a block (4096)."""
        start = self._used
        end = start + count
        if end > len(self._block):
            self._block = self._fetch(_RANDOM_BLOCK_BYTES)
            start, end = 0, count
        self._used = end
        return self._block[start:end]


class CallbackCipher:
    """Signs, encrypts and decrypts for one receiver of one platform account."""

    def __init__(
        self,
        token: str,
        encoding_aes_key: str,
        receiver_id: str,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        """Set up for one account.

        Args:
            token: The Token of the console; signs.
            encoding_aes_key: The 43 characters of the console; encrypts.
            receiver_id: What stands behind every message: corpid, appid, or empty (WeCom, receiveid by
                kind of receiver).
            random: Source of random bytes; tests give another.

        Raises:
            ValueError: `encoding_aes_key` is none.
        """
        key = decode_aes_key(encoding_aes_key)
        cipher = Cipher(algorithms.AES(key), modes.CBC(key[:_AES_BLOCK_BYTES]))
        self._token = token.encode()
        self._receiver = receiver_id.encode()
        self._running_decryptor = cipher.decryptor()
        self._running_encryptor = cipher.encryptor()
        self._random = RandomBytes(random)

    def sign(self, timestamp: bytes, nonce: bytes, encrypted: bytes) -> bytes:
        """Return the msg_signature of a base64 text sent at `timestamp` (Unix seconds) with `nonce`."""
        return sign(self._token, timestamp, nonce, encrypted)

    def check(self, signature: str, timestamp: str, nonce: str, encrypted: bytes) -> None:
        """Accept `signature` as the msg_signature of the rest.

        Raises:
            SignatureError: It is another one, or empty.
        """
        check_signature(signature, self._token, timestamp.encode(), nonce.encode(), encrypted)

    def decrypt(self, encrypted: bytes) -> bytes:
        """Return the message in `encrypted`, a base64 text whose signature has been checked.

        Raises:
            UndecodableError: It is not base64, not whole, or not made with our key.
            ReceiverError: It was meant for another account.
        """
        plain = self._decrypt_blocks(encrypted)
        padding = plain[-1]
        if not 1 <= padding <= _PADDING_BLOCK_BYTES or not plain.endswith(_PADDINGS[padding]):
            raise UndecodableError("wrong padding")
        receiver_end = len(plain) - padding
        message_end = _HEAD_BYTES + int.from_bytes(plain[_PREFIX_BYTES:_HEAD_BYTES])
        if message_end > receiver_end:
            raise UndecodableError("the length field reaches beyond the data")
        if not hmac.compare_digest(plain[message_end:receiver_end], self._receiver):
            raise ReceiverError("meant for another receiver")
        return plain[_HEAD_BYTES:message_end]

    def _decrypt_blocks(self, encrypted: bytes) -> bytes:
        """Return the padded plaintext; its first 16 bytes are noise."""
        try:
            data = binascii.a2b_base64(encrypted, strict_mode=True)
        except binascii.Error:
            raise UndecodableError("broken base64") from None
        # A part of a block would stay in the running context and spoil the next message.
        if len(data) % _AES_BLOCK_BYTES or len(data) < _PADDING_BLOCK_BYTES:
            raise UndecodableError("not a whole number of cipher blocks")
        return self._running_decryptor.update(data)

    def encrypt(self, message: bytes) -> bytes:
        """Return `message` encrypted for our receiver id, as base64."""
        length = len(message)
        framed = _HEAD_BYTES + length + len(self._receiver)
        plain = b"%b%b%b%b%b" % (
            self._random.take(_PREFIX_BYTES),
            length.to_bytes(4),
            message,
            self._receiver,
            _PADDINGS[_PADDING_BLOCK_BYTES - framed % _PADDING_BLOCK_BYTES],
        )
        return binascii.b2a_base64(self._running_encryptor.update(plain), newline=False)

    def nonce(self) -> bytes:
        """Return a fresh nonce for an answer: 16 hexadecimal digits."""
        return self._random.take(_NONCE_BYTES).hex().encode()
