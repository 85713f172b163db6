"""The words of a message, whatever kind of message carries them."""

from __future__ import annotations

from bot.model import Content, MixedMessage, TextMessage, VoiceMessage


def words_of(content: Content) -> str:
    """Return what a person said in words, as sent; empty where they used none.

    A picture with words says them, a voice message what the platform heard.
    """
    if type(content) is TextMessage:
        return content.text
    if type(content) is MixedMessage:
        return "\n".join(item.text for item in content.items if type(item) is TextMessage).strip()
    if type(content) is VoiceMessage:
        return content.recognition
    return ""
