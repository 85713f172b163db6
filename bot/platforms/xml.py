"""XML bodies of callbacks: safe in general, and two known shapes read at a glance.

`parse` takes any body a platform may send. It is expat with everything off that XML can be abused for:
a document type (and with it entities and external files) is refused, depth, number and size are bounded.

`encrypted_envelope` and `text_message` recognise the two bodies of nearly every callback with one
regular expression each, at a tenth of the cost. They are strict: they return exactly what `parse` would
have found, or None, and then the caller asks `parse`. (Property tests hold the two together.)
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple
from xml.parsers import expat

from bot.errors import OversizeError, UndecodableError

if TYPE_CHECKING:
    from bot.platforms.elements import Element, Elements

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 16
MAX_ELEMENTS = 10_000

_ROOT = "xml"
# NUL is left out: it would let another encoding pass as this one.
_ILLEGAL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f]|\xef\xbf[\xbe\xbf]")


class _Builder:
    """Collects what expat reports; one per document."""

    def __init__(self) -> None:
        self.root: Element = ""
        self.root_name = ""
        # Text since the last start tag: all that counts, since an element has either text or elements.
        self.texts: list[str] = []
        self._open: list[Elements] = []
        self._count = 0

    def start(self, _name: str, _attributes: dict[str, str]) -> None:
        self._count += 1
        if self._count > MAX_ELEMENTS or len(self._open) == MAX_DEPTH:
            raise UndecodableError("XML is nested too deeply or has too many elements")
        self._open.append({})
        self.texts.clear()

    def end(self, name: str) -> None:
        value: Element = self._open.pop() or "".join(self.texts)
        if not self._open:
            self.root, self.root_name = value, name
            return
        siblings = self._open[-1]
        if name not in siblings:
            siblings[name] = value
            return
        earlier = siblings[name]
        if isinstance(earlier, list):
            earlier.append(value)
        else:
            siblings[name] = [earlier, value]


def _refuse_document_type(*_declaration: object) -> None:
    raise UndecodableError("XML with a document type")


def parse(body: bytes) -> Elements:
    """Return the elements inside the root ``<xml>`` of a UTF-8 document.

    An element with elements inside is those alone; text between them, attributes and comments are
    dropped. Text is as sent, white space included.

    Raises:
        UndecodableError: Not well-formed, not UTF-8, another root, a document type, or deeper than 16
            levels or longer than 10 000 elements.
        OversizeError: Above 4 MiB.
    """
    if len(body) > MAX_BYTES:
        raise OversizeError("XML of more than 4 MiB")
    _require_utf8(body)
    builder = _Builder()
    # Naming the encoding overrules whatever the document declares.
    parser = expat.ParserCreate("utf-8")
    parser.buffer_text = True
    parser.StartDoctypeDeclHandler = _refuse_document_type
    parser.EntityDeclHandler = _refuse_document_type
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.texts.append
    try:
        parser.Parse(body, True)  # noqa: FBT003  the C function takes no keyword
    except expat.ExpatError:
        raise UndecodableError("XML is not well-formed UTF-8") from None
    if builder.root_name != _ROOT:
        raise UndecodableError("the root element is not <xml>")
    return builder.root if isinstance(builder.root, dict) else {}


def _require_utf8(body: bytes) -> None:
    """Refuse other encodings; expat would recognise UTF-16 by itself, whatever it is told."""
    try:
        str(body, "utf-8")
    except UnicodeDecodeError:
        raise UndecodableError("XML is not UTF-8") from None
    if b"\0" in body:
        raise UndecodableError("XML with NUL")


def parse_message(message: bytes) -> Elements:
    """Return the elements of a verified message, as `parse` does, and forgive characters XML forbids.

    People paste control characters into chats and platforms pass them on raw. They are left out, so that
    the message is not lost.

    Raises:
        UndecodableError: As `parse`.
        OversizeError: As `parse`.
    """
    try:
        return parse(message)
    except UndecodableError:
        legal = _ILLEGAL.sub(b"", message)
        if legal == message:
            raise
        return parse(legal)


# ---------------------------------------------------------------- known shapes

_S = r"[ \t\r\n]*+"


def _simple(name: str, values: str) -> str:
    """Return the pattern of an element whose value, with or without CDATA, matches `values`."""
    return rf"<{name}>(?:<!\[CDATA\[{values}\]\]>|{values})</{name}>{_S}"


_ENVELOPE = re.compile(
    (
        rf"<xml>{_S}"
        rf"(?:{_simple('ToUserName', r'[A-Za-z0-9_@.-]*+')}|{_simple('AgentID', '[0-9]*+')})*+"
        r"<Encrypt>(?:<!\[CDATA\[([A-Za-z0-9+/=]++)\]\]>|([A-Za-z0-9+/=]++))</Encrypt>"
        rf"{_S}(?:{_simple('AgentID', '[0-9]*+')})?+</xml>{_S}"
    ).encode(),
)


def encrypted_envelope(body: bytes) -> bytes | None:
    """Return the text of `Encrypt` if `body` is the usual encrypted callback, else None (ask `parse`).

    Source: WeCom, callback security, message delivery.
    """
    found = _ENVELOPE.fullmatch(body)
    return None if found is None else found[1] or found[2]


class TextBody(NamedTuple):
    """The fields of a text message, as sent; `agent_id` is empty where there is none."""

    to_user: str
    from_user: str
    create_time: str
    content: str
    msg_id: str
    agent_id: str


_ID = r"[A-Za-z0-9_@.-]++"
# Neither "]]>" nor a character that XML forbids or that a parser would change (carriage return).
_CDATA_TEXT = r"[^\]\x00-\x08\x0b-\x1f\ufffe\uffff]*+(?:\](?!\]>)[^\]\x00-\x08\x0b-\x1f\ufffe\uffff]*+)*+"
_PLAIN_TEXT = r"[^\]<&\x00-\x08\x0b-\x1f\ufffe\uffff]*+"


def _captured(name: str, values: str, number: int) -> str:
    """Return the pattern of an element; group `number` is the mark of CDATA, the next one the value."""
    return rf"<{name}>(<!\[CDATA\[)?+({values})(?({number})\]\]>)</{name}>{_S}"


_TEXT_MESSAGE = re.compile(
    rf"<xml>{_S}"
    rf"{_captured('ToUserName', _ID, 1)}{_captured('FromUserName', _ID, 3)}"
    rf"<CreateTime>([1-9][0-9]{{0,9}})</CreateTime>{_S}"
    rf"<MsgType>(?:<!\[CDATA\[text\]\]>|text)</MsgType>{_S}"
    rf"<Content>(?:<!\[CDATA\[({_CDATA_TEXT})\]\]>|({_PLAIN_TEXT}))</Content>{_S}"
    rf"<MsgId>([1-9][0-9]{{0,19}})</MsgId>{_S}"
    rf"(?:{_captured('AgentID', '[0-9]++', 9)})?+</xml>{_S}",
)


def text_message(body: bytes) -> TextBody | None:
    """Return the fields if `body` is the usual text message, else None (ask `parse`).

    Raises:
        UndecodableError: `body` is not UTF-8.

    Source: WeCom, self-built app, incoming messages; WeChat, incoming messages.
    """
    try:
        found = _TEXT_MESSAGE.fullmatch(str(body, "utf-8"))
    except UnicodeDecodeError:
        raise UndecodableError("the message is not UTF-8") from None
    if found is None:
        return None
    _, to_user, _, from_user, create_time, in_cdata, plain, msg_id, _, agent_id = found.groups("")
    return TextBody(to_user, from_user, create_time, in_cdata or plain, msg_id, agent_id)
