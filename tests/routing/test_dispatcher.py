"""From a question to its route, and through the middlewares to its answer."""

from __future__ import annotations

from typing import cast

import pytest
import structlog.testing

from bot.errors import ConfigError
from bot.model import ImageMessage, Reply, Scanned, Subscribed, Text
from bot.routing.context import Context, Question
from bot.routing.dispatcher import Dispatcher, Next
from bot.routing.normalise import Normaliser
from bot.routing.router import NOBODY, Route, Router
from tests.routing.conftest import Ask

CONTEXT = cast("Context", object())  # the middlewares of these tests do not look into it


def feature(name: str, *words: str, takes_text: bool = False, for_managers: bool = False) -> Router:
    """Return a router whose command answers with its own name."""
    router = Router(name)

    @router.command(*words, takes_text=takes_text, for_managers=for_managers)
    async def answer(_: Context) -> Reply:
        return Reply.text(name)

    return router


def finder(name: str, needle: str) -> Router:
    """Return a router that finds texts with `needle` in them."""
    router = Router(name)

    @router.text
    def find(question: Question) -> Route | None:
        return Route(name, constant=Reply.text(name)) if needle in question.text else None

    return router


def test_a_command_is_found_with_what_follows_it(ask: Ask, normaliser: Normaliser) -> None:
    dispatcher = Dispatcher([feature("dice", "骰子", "dice", takes_text=True)], (), normaliser)
    route = dispatcher.route(ask("＃DICE　２d6 ＡＢ"))
    assert (route.name, route.word, route.rest) == ("dice.answer", "骰子", "2d6 AB")


def test_a_command_that_takes_no_text_is_not_met_by_a_sentence(ask: Ask, normaliser: Normaliser) -> None:
    dispatcher = Dispatcher([feature("dice", "骰子"), finder("words", "骰子")], (), normaliser)
    assert dispatcher.route(ask("骰子")).name == "dice.answer"
    assert dispatcher.route(ask("骰子 好玩吗")).name == "words"


def test_a_command_comes_before_every_finder_and_finders_in_the_order_of_the_routers(
    ask: Ask, normaliser: Normaliser
) -> None:
    routers = [finder("first", "奶"), finder("second", "鲜奶"), feature("shop", "鲜奶")]
    dispatcher = Dispatcher(routers, (), normaliser)
    assert [dispatcher.route(ask(text)).name for text in ("鲜奶", "鲜奶好", "奶", "水")] == [
        "shop.answer", "first", "first", "nobody",
    ]  # fmt: skip


def test_finders_are_asked_for_texts_only(ask: Ask, normaliser: Normaliser) -> None:
    dispatcher = Dispatcher([finder("all", "")], (), normaliser)
    assert dispatcher.route(ask("")).name == "all"
    assert dispatcher.route(ask(ImageMessage("http://image", "1"))) is NOBODY
    assert dispatcher.route(ask(Subscribed())) is NOBODY


def test_of_two_features_that_answer_one_kind_of_event_the_first_does(
    ask: Ask, normaliser: Normaliser
) -> None:
    routers = [Router("one"), Router("other")]
    for router in routers:

        @router.on(Subscribed)
        async def greet(_: Context) -> None: ...

    dispatcher = Dispatcher(routers, (), normaliser)
    assert dispatcher.route(ask(Subscribed())).name == "one.greet"
    assert dispatcher.route(ask(Scanned("7", "t"))) is NOBODY


def test_a_finder_that_fails_is_logged_and_passed_over(ask: Ask, normaliser: Normaliser) -> None:
    broken = Router("broken")

    @broken.text
    def find(_: Question) -> Route | None:
        raise LookupError

    dispatcher = Dispatcher([broken, finder("words", "奶")], (), normaliser)
    with structlog.testing.capture_logs() as lines:
        assert dispatcher.route(ask("奶")).name == "words"
        assert dispatcher.route(ask("水")) is NOBODY
    assert [line["finder"] for line in lines] == ["broken.find"] * 2


def test_every_clash_of_command_words_is_named_at_once(normaliser: Normaliser) -> None:
    with pytest.raises(ConfigError) as raised:
        Dispatcher(
            [feature("one", "簽到", "Sign"), feature("two", "签到", "ＳＩＧＮ", "其他")], (), normaliser
        )
    assert [str(fault) for fault in raised.value.faults] == [
        f"router two: two.answer: the command {word} is registered already by one.answer "
        "(choose another word, or leave one of the two routers out)"
        for word in ("签到", "ＳＩＧＮ")
    ]


def test_one_command_may_name_a_word_in_two_spellings(normaliser: Normaliser) -> None:
    dispatcher = Dispatcher([feature("one", "签到", "簽到")], (), normaliser)
    assert dispatcher.command_words == {"签到"}


def test_the_dispatcher_knows_every_command_and_whose_it_is(normaliser: Normaliser) -> None:
    routers = [feature("one", "一", "One"), feature("two", "二", for_managers=True)]
    dispatcher = Dispatcher(routers, (), normaliser)
    assert dispatcher.commands == ((("一", "One"), False), (("二",), True))
    assert dispatcher.command_words == {"一", "one", "二"}


# ---------------------------------------------------------------- middlewares


async def test_middlewares_wrap_the_handler_the_first_outermost(ask: Ask, normaliser: Normaliser) -> None:
    async def first(ctx: Context, following: Next) -> Reply | None:
        return said(await following(ctx), "1")

    async def second(ctx: Context, following: Next) -> Reply | None:
        return said(await following(ctx), "2")

    def said(reply: Reply | None, mark: str) -> Reply:
        assert reply is not None
        part = reply.parts[0]
        assert isinstance(part, Text)
        return Reply.text(f"{mark}({part.text})")

    dispatcher = Dispatcher([feature("one", "一"), finder("words", "奶")], (first, second), normaliser)
    for text, answer in (("一", "1(2(one))"), ("奶", "1(2(words))")):
        assert await dispatcher.answer(CONTEXT, dispatcher.route(ask(text))) == Reply.text(answer)


async def test_a_middleware_may_answer_itself(ask: Ask, normaliser: Normaliser) -> None:
    async def guard(_ctx: Context, _following: Next) -> Reply | None:
        return None

    dispatcher = Dispatcher([feature("one", "一")], (guard,), normaliser)
    assert await dispatcher.answer(CONTEXT, dispatcher.route(ask("一"))) is None


async def test_nobody_answers_with_silence(normaliser: Normaliser) -> None:
    assert await Dispatcher([], (), normaliser).answer(CONTEXT, NOBODY) is None
