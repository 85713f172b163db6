"""What the AI bot (智能机器人) tells us, from its JSON to our events; the same in both of its modes.

Fields may be missing, of another type or unknown: what cannot be read is empty, what is not known is
`Unknown`, and nothing is an error.

Source: WeCom, AI bot, incoming JSON.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from typing import Any, TypeAlias

import orjson

from bot.model import (
    MESSAGE_TYPES,
    CardClicked,
    Content,
    Entered,
    Event,
    FeedbackGiven,
    FileMessage,
    ImageMessage,
    MixedMessage,
    Quote,
    TextMessage,
    Unknown,
    VideoMessage,
    VoiceMessage,
)
from bot.platforms.protocol import Poll

Body: TypeAlias = Mapping[str, Any]

_MOST_ID_CHARACTERS = 128  # of a msgid; a longer one is no name but noise
_TYPE_NAME_MOST_CHARACTERS = 64
_LATEST_SECOND = 9_999_999_999  # the year 2286; more is no Unix time in seconds
_MOST_ITEMS = 100  # of any list that is read
_INTEGER_LIMIT = 2**63  # what SQL and Redis can hold
_VERDICTS = {1: "accurate", 2: "inaccurate", 3: "withdrawn"}
# Clients write a space of their choice behind the mention: U+0020, U+2005, U+00A0, U+3000. What has no width
# may stand before it.
_MENTION = re.compile(r"[\s\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]*[@＠]\S+\s+")


def decode(channel: str, body: Body, received_at_ms: int, answer_to: str) -> Event | Poll:
    """Return what one decrypted callback, or one frame of the long connection, says.

    Args:
        channel: Name of the channel.
        body: The JSON object as it was parsed.
        received_at_ms: When it was received, Unix milliseconds; stands in where `create_time` is missing,
            which it is for messages.
        answer_to: What an answer that comes later needs: response_url or req_id.
    """
    msg_type = _word(body, "msgtype")
    kind = msg_type.lower()
    if kind == "stream":
        return Poll(_word(_child(body, "stream"), "id"))
    content = _report(body) if kind == "event" else _message(kind, msg_type, body)
    user_id = _word(_child(body, "from"), "userid")
    created_s = _integer(body, "create_time")
    return Event(
        _event_id(channel, user_id, body, content),
        channel,
        user_id,
        _word(body, "aibotid"),
        "" if _word(body, "chattype").lower() == "single" else _word(body, "chatid"),
        created_s * 1000 if 0 < created_s <= _LATEST_SECOND else received_at_ms,
        content,
        answer_to,
    )


def without_mention(text: str) -> str:
    """Return `text` without the mention it begins with, whatever the bot is called; once."""
    if "@" in text or "＠" in text:
        found = _MENTION.match(text)
        if found is not None:
            return text[found.end() :]
    return text


def _event_id(channel: str, user_id: str, body: Body, content: Content) -> str:
    """Return the name of what happened: of a message its msgid, of the rest the hash of all it says."""
    msg_id = _word(body, "msgid") if isinstance(content, MESSAGE_TYPES) else ""
    if 0 < len(msg_id) <= _MOST_ID_CHARACTERS:
        return f"{channel}:{user_id}:{msg_id}"
    try:
        told = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError:  # parsed by something that lets through what orjson would not
        told = repr(body).encode("utf-8", "replace")
    return f"{channel}:{sha256(told).hexdigest()}"


# ---------------------------------------------------------------- messages


def _message(kind: str, msg_type: str, body: Body) -> Content:
    if kind == "text":
        return TextMessage(without_mention(_text(_child(body, "text"), "content")), _quote(body))
    decoder = _MESSAGES.get(kind)
    return Unknown(msg_type[:_TYPE_NAME_MOST_CHARACTERS]) if decoder is None else decoder(body)


def _image(body: Body) -> ImageMessage:
    image = _child(body, "image")
    return ImageMessage(_word(image, "url"), "", _word(image, "aeskey"))


def _voice(body: Body) -> VoiceMessage:
    return VoiceMessage("", "", without_mention(_text(_child(body, "voice"), "content")))


def _video(body: Body) -> VideoMessage:
    video = _child(body, "video")
    return VideoMessage("", "", url=_word(video, "url"), aes_key=_word(video, "aeskey"))


def _file(body: Body) -> FileMessage:
    file = _child(body, "file")
    name = _word(file, "filename") or _word(file, "name")
    return FileMessage(_word(file, "url"), name, _word(file, "aeskey"))


def _mixed(body: Body) -> MixedMessage:
    items: list[TextMessage | ImageMessage] = []
    mentioned = False  # only the first text begins with the bot's name
    for item in _children(_child(body, "mixed"), "msg_item"):
        kind = _word(item, "msgtype").lower()
        if kind == "text":
            text = _text(_child(item, "text"), "content")
            items.append(TextMessage(text if mentioned else without_mention(text)))
            mentioned = True
        elif kind == "image":
            items.append(_image(item))
    return MixedMessage(tuple(items), _quote(body))


_MESSAGES: Mapping[str, Callable[[Body], Content]] = {
    "image": _image,
    "voice": _voice,
    "video": _video,
    "file": _file,
    "mixed": _mixed,
}


def _quote(body: Body) -> Quote | None:
    quoted = body.get("quote")
    if not isinstance(quoted, dict):
        return None
    kind = _word(quoted, "msgtype").lower()
    if kind == "mixed":
        texts = [item.text for item in _mixed(quoted).items if isinstance(item, TextMessage)]
        return Quote(kind, "\n".join(texts))
    return Quote(kind[:_TYPE_NAME_MOST_CHARACTERS], _text(_child(quoted, kind), "content"))


# ---------------------------------------------------------------- reports


def _report(body: Body) -> Content:
    event = _child(body, "event")
    name = _word(event, "eventtype")
    match name.lower():
        case "enter_chat":
            return Entered()
        case "template_card_event":
            return _card_clicked(_child(event, "template_card_event"))
        case "feedback_event":
            return _feedback_given(_child(event, "feedback_event"))
        case _:
            return Unknown((name or "event")[:_TYPE_NAME_MOST_CHARACTERS])


def _card_clicked(card: Body) -> CardClicked:
    questions = _children(_child(card, "selected_items"), "selected_item")
    return CardClicked(
        key=_word(card, "event_key"),
        task_id=_word(card, "task_id"),
        card_type=_word(card, "card_type"),
        response_code="",
        selected=tuple(
            (
                _word(question, "question_key"),
                tuple(_words(_child(question, "option_ids"), "option_id")),
            )
            for question in questions
        ),
    )


def _feedback_given(feedback: Body) -> FeedbackGiven:
    number = _integer(feedback, "type")
    reasons = feedback.get("inaccurate_reason_list")
    return FeedbackGiven(
        feedback_id=_word(feedback, "id"),
        verdict=_VERDICTS.get(number, str(number)),
        text=_text(feedback, "content"),
        reasons=tuple(
            reason
            for reason in (reasons[:_MOST_ITEMS] if isinstance(reasons, list) else ())
            if type(reason) is int and -_INTEGER_LIMIT <= reason < _INTEGER_LIMIT
        ),
    )


# ---------------------------------------------------------------- reading what may be anything


def _text(body: Body, name: str) -> str:
    value = body.get(name)
    if type(value) is str:
        return value
    return str(value) if type(value) is int else ""


def _word(body: Body, name: str) -> str:
    return _text(body, name).strip()


def _integer(body: Body, name: str) -> int:
    value = body.get(name)
    if type(value) is str and len(value) < 20 and value.strip().isdecimal():
        value = int(value)
    return value if type(value) is int and -_INTEGER_LIMIT <= value < _INTEGER_LIMIT else 0


def _child(body: Body, name: str) -> Body:
    value = body.get(name)
    return value if type(value) is dict else {}


def _children(body: Body, name: str) -> Iterator[Body]:
    """Yield the objects under `name`; one alone may stand without its list."""
    value = body.get(name)
    for item in value[:_MOST_ITEMS] if type(value) is list else [value]:
        if type(item) is dict:
            yield item


def _words(body: Body, name: str) -> Iterator[str]:
    value = body.get(name)
    for item in value[:_MOST_ITEMS] if type(value) is list else [value]:
        if type(item) is str:
            yield item
