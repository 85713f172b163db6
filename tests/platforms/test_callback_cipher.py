"""The callback scheme: vectors of the reference, wechatpy in both directions, every refusal."""

from __future__ import annotations

import binascii
import os
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st
from wechatpy.crypto import PrpCrypto

from bot.errors import CallbackError, ReceiverError, SignatureError, UndecodableError
from bot.platforms.crypto import CallbackCipher, RandomBytes, check_signature, decode_aes_key, sign

TOKEN = "tokTEST1"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
KEY = b64decode(AES_KEY + "=")
RECEIVER = "ww0example"
PREFIX = b"0123456789abcdef"

# (message, receiver id, Encrypt, msg_signature): WeCom, callback security, own test vectors.
VECTORS = [
    (
        b"<xml><a>hi</a></xml>",
        "ww0example",
        b"Q3stYC6hdFzMh9T8HCvyDAVwiZjhCu6Ju5zR2ctnxqI/Csw6V2ZnbVlAKQ92bp/kE5AkmAGpIVNk6+ii4kTHxg==",
        b"20c4b315526fc74f157d9c0b4f2fbad12709e8da",
    ),
    (
        b'{"msgtype":"text"}',
        "",
        b"Q3stYC6hdFzMh9T8HCvyDD712uX8onmHUva9KNYQqhHhJQeojMWP+B2d9+v8WlysuzAHHrvUZ9vvpslnY8rN/A==",
        b"d698d130222d2237bd184fe58d65972f9f1fea22",
    ),
]


def encrypt_blocks(padded: bytes) -> bytes:
    """Return base64 of whole blocks as they are, for plaintexts that no honest sender makes."""
    encryptor = Cipher(algorithms.AES(KEY), modes.CBC(KEY[:16])).encryptor()
    return b64encode(encryptor.update(padded) + encryptor.finalize())


def framed(message: bytes, receiver: bytes = RECEIVER.encode()) -> bytes:
    return PREFIX + len(message).to_bytes(4, "big") + message + receiver


def pad(data: bytes) -> bytes:
    count = 32 - len(data) % 32
    return data + bytes([count]) * count


@pytest.fixture
def cipher() -> CallbackCipher:
    return CallbackCipher(TOKEN, AES_KEY, RECEIVER)


@pytest.mark.parametrize(("message", "receiver", "encrypted", "signature"), VECTORS)
def test_the_vectors_of_the_reference_hold_in_both_directions(
    message: bytes, receiver: str, encrypted: bytes, signature: bytes
) -> None:
    cipher = CallbackCipher(TOKEN, AES_KEY, receiver, random=lambda _count: PREFIX)
    assert cipher.sign(b"1790000000", b"nonce42", encrypted) == signature
    assert cipher.decrypt(encrypted) == message
    assert cipher.encrypt(message) == encrypted


def test_the_plain_mode_signature_of_the_reference_holds() -> None:
    assert sign(b"tokTEST1", b"1790000000", b"nonce42") == b"1fc3ee6c4fc69936ec6bf228bec75e6903b092b0"


@given(st.lists(st.text(), min_size=1, max_size=5), st.sampled_from(["", "ww0example", "wx" + "a" * 40]))
def test_wechatpy_reads_what_we_encrypt_and_we_what_it_encrypts(messages: list[str], receiver: str) -> None:
    """Several messages in a row, because one running cipher context serves them all."""
    ours = CallbackCipher(TOKEN, AES_KEY, receiver)
    for message in messages:
        assert PrpCrypto(KEY).decrypt(ours.encrypt(message.encode()), receiver) == message
        assert ours.decrypt(PrpCrypto(KEY).encrypt(message, receiver)) == message.encode()


@given(st.binary(max_size=300))
def test_every_message_comes_back_as_it_was(message: bytes) -> None:
    cipher = CallbackCipher(TOKEN, AES_KEY, RECEIVER)
    assert cipher.decrypt(cipher.encrypt(message)) == message


def test_equal_messages_never_look_equal(cipher: CallbackCipher) -> None:
    """Over several blocks of random bytes; a nonce is never used twice either."""
    assert len({cipher.encrypt(b"same") for _ in range(1000)}) == 1000
    assert len({cipher.nonce() for _ in range(1000)}) == 1000


def test_random_bytes_are_handed_out_once_each() -> None:
    fetched: list[bytes] = []

    def fetch(count: int) -> bytes:
        fetched.append(os.urandom(count))
        return fetched[-1]

    random = RandomBytes(fetch)
    taken = [random.take(24) for _ in range(500)]
    assert all(len(part) == 24 for part in taken)
    per_block = len(fetched[0]) // 24
    assert b"".join(taken[:per_block]) == fetched[0][: per_block * 24]
    assert b"".join(taken[per_block : 2 * per_block]) == fetched[1][: per_block * 24]


@pytest.mark.parametrize("last", "EFGH")
def test_the_two_spare_bits_of_a_key_are_ignored(last: str) -> None:
    """Consoles hand out keys whose 43rd character has them set; strict decoders refuse those."""
    assert decode_aes_key(AES_KEY[:-1] + last) == KEY


@pytest.mark.parametrize("key", ["", "short", AES_KEY + "H", AES_KEY[:-1] + "*", AES_KEY[:-1] + "\n"])
def test_a_wrong_key_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(ValueError, match="exactly 43 letters and digits") as refusal:
        CallbackCipher(TOKEN, key, RECEIVER)
    assert not key.strip() or key not in str(refusal.value)


@pytest.mark.parametrize("signature", ["", "0" * 40, "20C4B315526FC74F157D9C0B4F2FBAD12709E8DA", "签名"])
def test_another_signature_is_refused(cipher: CallbackCipher, signature: str) -> None:
    with pytest.raises(SignatureError):
        cipher.check(signature, "1790000000", "nonce42", VECTORS[0][2])


def test_a_signature_covers_every_part(cipher: CallbackCipher) -> None:
    encrypted, signature = VECTORS[0][2], VECTORS[0][3].decode()
    cipher.check(signature, "1790000000", "nonce42", encrypted)
    for timestamp, nonce, body in [
        ("1790000001", "nonce42", encrypted),
        ("1790000000", "nonce43", encrypted),
        ("1790000000", "nonce42", encrypted[:-1]),
    ]:
        with pytest.raises(SignatureError):
            cipher.check(signature, timestamp, nonce, body)
    with pytest.raises(SignatureError):
        check_signature(signature, b"otherTOKEN", b"1790000000", b"nonce42", encrypted)


GOOD = VECTORS[0][2]
REFUSALS = {
    "empty": (b"", UndecodableError),
    "truncated base64": (GOOD[:-1], UndecodableError),
    "truncated by a base64 quantum": (GOOD[:-4], UndecodableError),
    "a foreign character": (b"*" + GOOD[1:], UndecodableError),
    "the URL-safe alphabet": (GOOD.replace(b"/", b"_"), UndecodableError),
    "a space": (GOOD[:20] + b" " + GOOD[20:], UndecodableError),
    "a line break at the end": (GOOD + b"\n", UndecodableError),
    "data after the end": (GOOD + b"AAAA", UndecodableError),
    "not ASCII": ("密文".encode(), UndecodableError),
    "one cipher block": (encrypt_blocks(b"\x10" * 16), UndecodableError),
    "not whole blocks": (b64encode(b64decode(GOOD)[:-3]), UndecodableError),
    "padding of 0": (encrypt_blocks(framed(b"x" * 18)[:47] + b"\0" + b"\0" * 16), UndecodableError),
    "padding of 33": (encrypt_blocks(framed(b"x" * 1) + b"\x21" * 33), UndecodableError),
    "padding of 255": (encrypt_blocks(framed(b"x" * 2)[:31] + b"\xff"), UndecodableError),
    "inconsistent padding": (encrypt_blocks(pad(framed(b"x"))[:-2] + b"\x20\x21"), UndecodableError),
    "padding with one wrong byte": (
        encrypt_blocks(framed(b"x" * 6) + b"\x1b" + b"\x1c" * 27),
        UndecodableError,
    ),
    "length beyond the data": (
        encrypt_blocks(pad(PREFIX + (1000).to_bytes(4, "big") + b"x" + RECEIVER.encode())),
        UndecodableError,
    ),
    "length one byte beyond the data": (
        encrypt_blocks(pad(PREFIX + (12).to_bytes(4, "big") + b"x" + RECEIVER.encode())),
        UndecodableError,
    ),
    "length of 4 GiB": (
        encrypt_blocks(pad(PREFIX + b"\xff\xff\xff\xff" + b"x" + RECEIVER.encode())),
        UndecodableError,
    ),
    "shorter than a head": (encrypt_blocks(PREFIX + b"\x10" * 16), UndecodableError),
    "another receiver": (encrypt_blocks(pad(framed(b"x", b"ww0other"))), ReceiverError),
    "no receiver": (encrypt_blocks(pad(framed(b"x", b""))), ReceiverError),
    "our receiver and more": (encrypt_blocks(pad(framed(b"x", b"ww0example2"))), ReceiverError),
    "length that eats the receiver": (
        encrypt_blocks(pad(PREFIX + (11).to_bytes(4, "big") + b"x" + RECEIVER.encode())),
        ReceiverError,
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_a_broken_ciphertext_is_refused_and_spoils_nothing_after_it(
    name: str, cipher: CallbackCipher
) -> None:
    """The running cipher context must still read the next honest message."""
    encrypted, error = REFUSALS[name]
    for _ in range(2):
        with pytest.raises(error):
            cipher.decrypt(encrypted)
        assert cipher.decrypt(GOOD) == VECTORS[0][0]


@pytest.mark.parametrize("length", [2, 3, 13, 1000, 2**32 - 1])
def test_without_a_receiver_id_the_length_must_still_fit(length: int) -> None:
    """Nothing behind the message would be an empty receiver id too."""
    cipher = CallbackCipher(TOKEN, AES_KEY, "")
    assert cipher.decrypt(encrypt_blocks(pad(framed(b"x", b"")))) == b"x"
    with pytest.raises(UndecodableError):
        cipher.decrypt(encrypt_blocks(pad(PREFIX + length.to_bytes(4, "big") + b"x")))


def test_a_message_under_another_key_is_refused(cipher: CallbackCipher) -> None:
    other = CallbackCipher(TOKEN, AES_KEY[::-1], RECEIVER)
    for _ in range(300):
        with pytest.raises(CallbackError):
            cipher.decrypt(other.encrypt(b"<xml></xml>"))


@pytest.mark.parametrize("length", range(64))
def test_every_length_of_padding_is_made_and_read(length: int, cipher: CallbackCipher) -> None:
    message = b"x" * length
    encrypted = cipher.encrypt(message)
    assert len(binascii.a2b_base64(encrypted)) % 32 == 0
    assert cipher.decrypt(encrypted) == message
    assert cipher.decrypt(encrypt_blocks(pad(framed(message)))) == message


@given(st.binary(max_size=200))
def test_whatever_is_not_ours_is_a_callback_error(data: bytes) -> None:
    cipher = CallbackCipher(TOKEN, AES_KEY, RECEIVER)
    for encrypted in (data, b64encode(data)):
        with pytest.raises(CallbackError):
            cipher.decrypt(encrypted)
    assert cipher.decrypt(GOOD) == VECTORS[0][0]
