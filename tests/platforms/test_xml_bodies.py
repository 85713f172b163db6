"""XML bodies: what is refused, what is forgiven, and that the fast path equals the general one."""

from __future__ import annotations

from contextlib import suppress
from xml.sax.saxutils import escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.errors import CallbackError, OversizeError, UndecodableError
from bot.platforms import xml
from bot.platforms.elements import text

USUAL = (
    "<xml><ToUserName><![CDATA[ww0example]]></ToUserName><FromUserName><![CDATA[ana]]></FromUserName>"
    "<CreateTime>1790000000</CreateTime><MsgType><![CDATA[text]]></MsgType>"
    "<Content><![CDATA[今天[微笑]签到 <b>&amp; ok]]></Content><MsgId>24500000000000001</MsgId>"
    "<AgentID>1000007</AgentID></xml>"
)


# ---------------------------------------------------------------- the general parser


def test_elements_come_as_text_as_elements_or_as_lists() -> None:
    body = b"""<?xml version="1.0" encoding="UTF-8"?>
    <xml a="ignored">
      <EventKey><![CDATA[k]]></EventKey> <Empty/> <Blank></Blank>
      <ScanCodeInfo><ScanType>qr</ScanType><ScanResult><![CDATA[1<2]]></ScanResult></ScanCodeInfo>
      <List><Id>1</Id></List><List><Id>2</Id></List><List><Id>3</Id></List>
      <Mixed>a<!-- b -->&lt;&#x4e2d;&#38;<![CDATA[<c>]]> </Mixed>
    </xml>"""
    assert xml.parse(body) == {
        "EventKey": "k",
        "Empty": "",
        "Blank": "",
        "ScanCodeInfo": {"ScanType": "qr", "ScanResult": "1<2"},
        "List": [{"Id": "1"}, {"Id": "2"}, {"Id": "3"}],
        "Mixed": "a<中&<c> ",
    }


def test_a_root_without_elements_is_empty() -> None:
    assert xml.parse(b"<xml>text</xml>") == {}


BILLION_LAUGHS = (
    b'<!DOCTYPE xml [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;">'
    b'<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;&b;&b;">]><xml><Content>&c;</Content></xml>'
)
REFUSED = {
    "empty": b"",
    "no XML": b"hello",
    "JSON": b'{"Encrypt":"x"}',
    "another root": b"<html></html>",
    "two roots": b"<xml></xml><xml></xml>",
    "text after the root": b"<xml></xml>x",
    "unclosed": b"<xml><a>",
    "crossed": b"<xml><a><b></a></b></xml>",
    "unclosed CDATA": b"<xml><a><![CDATA[x</a></xml>",
    "end of CDATA in plain text": b"<xml><a>]]></a></xml>",
    "billion laughs": BILLION_LAUGHS,
    "external entity": b'<!DOCTYPE xml [<!ENTITY x SYSTEM "file:///etc/passwd">]><xml><a>&x;</a></xml>',
    "external document type": b'<!DOCTYPE xml SYSTEM "http://127.0.0.1:9/x.dtd"><xml></xml>',
    "bare document type": b"<!DOCTYPE xml><xml></xml>",
    "parameter entity": b'<!DOCTYPE xml [<!ENTITY % p SYSTEM "file:///x">%p;]><xml></xml>',
    "document type inside": b"<xml><!DOCTYPE xml><a>x</a></xml>",
    "entity inside": b'<xml><!ENTITY a "b"><a>x</a></xml>',
    "undeclared entity": b"<xml><a>&nbsp;</a></xml>",
    "numeric reference to an illegal character": b"<xml><a>&#0;</a></xml>",
    "invalid UTF-8": b"<xml><a>\xff\xfe</a></xml>",
    "truncated UTF-8": b"<xml><a>\xe4\xbd</a></xml>",
    "a surrogate as UTF-8": b"<xml><a>\xed\xa0\x80</a></xml>",
    "overlong UTF-8": b"<xml><a>\xc0\xbc</a></xml>",
    "UTF-16": "<xml><a>x</a></xml>".encode("utf-16"),
    "UTF-16 without its mark": "<xml><a>x</a></xml>".encode("utf-16-le"),
    "UTF-16 the other way": "<xml><a>x</a></xml>".encode("utf-16-be"),
    "NUL": b"<xml><a>\0</a></xml>",
    "GBK behind its declaration": '<?xml version="1.0" encoding="GBK"?><xml><a>签到</a></xml>'.encode("gbk"),
    "nested too deeply": b"<xml>" + b"<a>" * 16 + b"</a>" * 16 + b"</xml>",
    "too many elements": b"<xml>" + b"<a/>" * 10_000 + b"</xml>",
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_body_no_platform_sends_is_refused(name: str) -> None:
    """By the general parser, forgiving or not; and the fast path never takes it."""
    body = REFUSED[name]
    with pytest.raises(UndecodableError):
        xml.parse(body)
    with pytest.raises(UndecodableError):
        xml.parse_message(body)
    assert xml.encrypted_envelope(body) is None


def test_the_bounds_themselves_are_allowed() -> None:
    xml.parse(b"<xml>" + b"<a>" * 15 + b"</a>" * 15 + b"</xml>")
    xml.parse(b"<xml>" + b"<a/>" * 9_999 + b"</xml>")


def test_a_body_above_four_mebibytes_is_too_large() -> None:
    with pytest.raises(OversizeError):
        xml.parse(b"<xml><a>" + b"x" * xml.MAX_BYTES + b"</a></xml>")


def test_utf8_counts_whatever_the_declaration_says() -> None:
    body = '<?xml version="1.0" encoding="GBK"?><xml><a>签到</a></xml>'.encode()
    assert xml.parse(body) == {"a": "签到"}


@pytest.mark.parametrize("said", ["<!DOCTYPE xml>", '<!ENTITY a "b">', "&nbsp; <b>", "a]]b]>c]"])
def test_markup_that_a_person_wrote_is_text(said: str) -> None:
    """Inside CDATA it is what the message says, on both paths."""
    body = USUAL.replace("今天[微笑]签到 <b>&amp; ok", said).encode()
    assert text(xml.parse(body), "Content") == said
    usual = xml.text_message(body)
    assert usual is not None
    assert usual.content == said


@pytest.mark.parametrize("pasted", ["\x01", "\x08", "\x1b[31m", "\ufffe", "\uffff"])
def test_characters_xml_forbids_do_not_lose_a_message(pasted: str) -> None:
    body = USUAL.replace("今天", f"今{pasted}天").encode()
    assert xml.text_message(body) is None
    with pytest.raises(UndecodableError):
        xml.parse(body)
    legal = "".join(char for char in pasted if char.isprintable() and char not in "\ufffe\uffff")
    assert text(xml.parse_message(body), "Content").startswith(f"今{legal}天[微笑]")


def test_a_document_type_cannot_hide_behind_forbidden_characters() -> None:
    with pytest.raises(UndecodableError):
        xml.parse_message(b"<!DOC\x01TYPE xml><xml></xml>")


# ---------------------------------------------------------------- the fast path


def test_the_usual_text_message_is_read_at_a_glance() -> None:
    assert xml.text_message(USUAL.encode()) == xml.TextBody(
        "ww0example", "ana", "1790000000", "今天[微笑]签到 <b>&amp; ok", "24500000000000001", "1000007"
    )


def test_the_text_message_of_the_reference_is_read_at_a_glance() -> None:
    body = b"""<xml><ToUserName>gh_example</ToUserName><FromUserName>oEXAMPLE</FromUserName>
<CreateTime>1790000000</CreateTime><MsgType>text</MsgType>
<Content><![CDATA[help]]></Content><MsgId>24500000000000001</MsgId></xml>"""
    assert xml.text_message(body) == xml.TextBody(
        "gh_example", "oEXAMPLE", "1790000000", "help", "24500000000000001", ""
    )


def test_a_message_that_is_not_utf8_is_refused_at_a_glance() -> None:
    with pytest.raises(UndecodableError):
        xml.text_message(b"<xml>\xff</xml>")


ENCRYPTED = "QUJD+/a="


@pytest.mark.parametrize(
    "body",
    [
        f"<xml><ToUserName><![CDATA[ww0]]></ToUserName><Encrypt><![CDATA[{ENCRYPTED}]]></Encrypt></xml>",
        f"<xml><Encrypt>{ENCRYPTED}</Encrypt><AgentID><![CDATA[1]]></AgentID></xml>",
        f"<xml>\r\n  <ToUserName>gh_1</ToUserName>\n<Encrypt>{ENCRYPTED}</Encrypt>\n</xml>\n",
        f"<xml><AgentID></AgentID>\n<Encrypt>{ENCRYPTED}</Encrypt></xml>",
    ],
)
def test_usual_envelopes_give_their_encrypted_text(body: str) -> None:
    assert xml.encrypted_envelope(body.encode()) == ENCRYPTED.encode()
    assert text(xml.parse(body.encode()), "Encrypt") == ENCRYPTED


# Pieces that are hard on a parser of XML, as contents of elements.
_HARD_PIECES = [
    "]", "]]", "]]>", ">", "<", "&", "&amp;", "&lt;", "&#38;", "&#x4e2d;", "&nope;", "<![CDATA[",
    "<!-- x -->", "<!DOCTYPE xml>", "\r\n", "\r", "\t", "\n", "\x00", "\x0b", "\x7f", "\ufffe", "签到",
    "[微笑]", "😀", "a", " ", "</Content>", "<b/>", "<?pi?>",
]  # fmt: skip
_HARD = st.sampled_from(_HARD_PIECES)
_CONTENTS = st.lists(_HARD | st.text(max_size=3), max_size=5).map("".join)
_NAMES = ["ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId", "AgentID", "Encrypt"]
_USUAL = dict(
    zip(
        _NAMES,
        ["gh_1", "o-E_x@a.b", "1790000000", "text", "签到", "24500000000000001", "7", "QUJD+/a="],
        strict=True,
    )
)
_BENT = {
    "CreateTime": st.sampled_from(["0", "01", "12345678901", " 5", "-1"]),
    "MsgType": st.sampled_from(["Text", "image", " text"]),
    "MsgId": st.sampled_from(["0", "", "1e3", "9" * 21]),
    "AgentID": st.sampled_from(["", "x", " 7"]),
}
_SHAPES = st.sampled_from(
    [_NAMES[:7], _NAMES[:6], ["ToUserName", "AgentID", "Encrypt"], ["Encrypt", "AgentID"]]
)
_SPACES = st.sampled_from(["\n", " \r\n\t", "\x0b", "\x0c", "\x85", "<!-- -->", "x", "<a/>"])


def _element(name: str, value: str, written: str) -> str:
    """Return one element, its CDATA whole, half or absent."""
    value = escape(value) if written == "plain" else value
    before = "<![CDATA[" if written in {"cdata", "open"} else ""
    after = "]]>" if written in {"cdata", "close"} else ""
    return f"<{name}>{before}{value}{after}</{name}>"


@st.composite
def _documents(draw: st.DrawFn) -> str:
    """Return a text message or envelope, usual but for a few things bent."""
    names = draw(_SHAPES)
    kinds = ["said", "said", "said", "value", "value", "writing", "space", "order", "twice"]
    bends = draw(st.lists(st.sampled_from(kinds), max_size=2))
    if "order" in bends:
        names = draw(st.permutations(names))
    if "twice" in bends:
        names = [*names, draw(st.sampled_from(names))]
    at = {bend: draw(st.integers(0, len(names) - 1)) for bend in bends}
    pieces = []
    for number, name in enumerate(names):
        bent = at.get("value") == number
        value = draw(_BENT.get(name, _CONTENTS) | _CONTENTS) if bent else _USUAL[name]
        wrong = at.get("writing") == number
        written = draw(st.sampled_from(["raw", "open", "close"] if wrong else ["cdata", "plain"]))
        if name in {"CreateTime", "MsgId"} and not wrong:
            written = "plain"
        if name == "Content" and "said" in bends:
            value, written = draw(_CONTENTS), draw(st.sampled_from(["cdata", "plain", "raw"]))
        pieces.append(_element(name, value, written))
        if at.get("space") == number:
            pieces.append(draw(_SPACES))
    return f"<xml>{''.join(pieces)}</xml>"


def _agree(body: bytes) -> None:
    """Hold both fast paths against the general parser."""
    envelope = xml.encrypted_envelope(body)
    if envelope is not None:
        assert xml.parse(body)["Encrypt"] == envelope.decode()
    try:
        usual = xml.text_message(body)
    except UndecodableError:
        with pytest.raises(UndecodableError):
            xml.parse(body)
        return
    if usual is not None:
        general = xml.parse(body)
        names = ["ToUserName", "FromUserName", "CreateTime", "Content", "MsgId", "AgentID"]
        assert [general.pop(name, "") for name in names] == list(usual)
        assert general == {"MsgType": "text"}


@pytest.mark.parametrize("written", ["cdata", "plain", "raw"])
@pytest.mark.parametrize("piece", _HARD_PIECES)
def test_the_fast_path_equals_the_general_parser_on_every_hard_piece(piece: str, written: str) -> None:
    for name in _NAMES:
        for value in (piece, f"a{piece}", f"{piece}a"):
            texts = _USUAL | {name: value}
            elements = {
                other: _element(other, texts[other], written if other == name else "raw") for other in _NAMES
            }
            _agree(f"<xml>{''.join(elements[other] for other in _NAMES[:7])}</xml>".encode())
            _agree(f"<xml>{elements['AgentID']}{elements['Encrypt']}</xml>".encode())


@settings(max_examples=600)
@given(_documents())
def test_the_fast_path_equals_the_general_parser_or_declines(document: str) -> None:
    _agree(document.encode())


@settings(max_examples=600)
@given(
    st.sampled_from([USUAL, "<xml><AgentID>1</AgentID><Encrypt><![CDATA[QUJD]]></Encrypt></xml>"]),
    st.data(),
)
def test_they_agree_on_a_usual_body_with_bytes_changed(document: str, data: st.DataObject) -> None:
    body = bytearray(document.encode())
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(body) - 1))
        piece = data.draw(_HARD.map(str.encode) | st.binary(max_size=2))
        body[at : at + data.draw(st.integers(0, 4))] = piece
    _agree(bytes(body))


@settings(max_examples=300)
@given(_CONTENTS)
def test_the_fast_path_takes_every_text_a_person_can_send(said: str) -> None:
    """All that makes it decline are characters that XML forbids or changes."""
    body = USUAL.replace("今天[微笑]签到 <b>&amp; ok", said.replace("]]>", "]] >"))
    declines = any(char in body for char in "\ufffe\uffff") or any(
        char < " " and char not in "\t\n" for char in body
    )
    assert (xml.text_message(body.encode()) is None) == declines


@settings(max_examples=300)
@given(st.binary(max_size=80) | _documents().map(str.encode))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    for parse in (xml.parse, xml.parse_message, xml.text_message, xml.encrypted_envelope):
        with suppress(CallbackError):
            parse(body)
