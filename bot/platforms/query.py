"""The query string of a callback: the few fields that platforms send, as they signed them.

Source: WeCom, callback security, URL verification and message delivery; WeChat, callback URL and
security, modes.
"""

from __future__ import annotations

from urllib.parse import unquote

from bot.errors import SignatureError

_FIELDS = frozenset(
    ("msg_signature", "signature", "timestamp", "nonce", "echostr", "encrypt_type", "openid"),
)


def parse_query(query: str) -> dict[str, str]:
    """Return the fields of a callback that `query` holds, decoded; others are ignored.

    A plus sign means a space, as in every form, except in `echostr`: that is base64, has no spaces, and
    its plus signs arrive raw, percent-encoded, or turned into a space by something in between.

    Raises:
        SignatureError: A field stands there twice, or is not UTF-8: no platform signed such a request.
    """
    if not query.isascii():
        raise SignatureError("the query string is not percent-encoded")
    fields: dict[str, str] = {}
    for item in query.split("&"):
        name, _, value = item.partition("=")
        if name in _FIELDS:
            if name in fields:
                raise SignatureError(f"{name} stands twice in the query string")
            if "%" in value or "+" in value:
                value = _decoded(name, value)
            fields[name] = value
    return fields


def require(fields: dict[str, str], *names: str) -> tuple[str, ...]:
    """Return the values of `names`, none of them empty.

    Raises:
        SignatureError: One is missing or empty, so the request cannot have been signed.
    """
    values = tuple([fields.get(name, "") for name in names])
    if not all(values):
        missing = ", ".join(name for name in names if not fields.get(name))
        raise SignatureError(f"missing in the query string: {missing}")
    return values


def _decoded(name: str, value: str) -> str:
    """Return a field's value without percent-encoding.

    Raises:
        SignatureError: The bytes are not UTF-8.
    """
    try:
        if name == "echostr":
            return unquote(value, errors="strict").replace(" ", "+")
        return unquote(value.replace("+", " "), errors="strict")
    except UnicodeDecodeError:
        raise SignatureError(f"{name} in the query string is not UTF-8") from None
