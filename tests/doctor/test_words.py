"""The words of the doctor."""

from __future__ import annotations

from bot.doctor.findings import WORDS, Level


def test_every_finding_has_its_words_in_both_languages() -> None:
    for code, (level, text) in WORDS.items():
        assert text.cause
        assert text.cause.isascii(), code
        assert any("\u4e00" <= char <= "\u9fff" for char in text.cause_zh), code
        assert bool(text.cure) is bool(text.cure_zh) is (level is not Level.WELL), code
