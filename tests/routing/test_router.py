"""How a feature declares its routes."""

from __future__ import annotations

import pytest

from bot.model import Entered, Reply, Subscribed
from bot.routing.context import Context, Question
from bot.routing.router import NOBODY, Route, Router


async def answer(_: Context) -> Reply:
    return Reply.text("好")


def find(_: Question) -> Route | None:
    return None


def test_a_router_remembers_what_was_declared_in_order_and_gives_the_functions_back() -> None:
    router = Router("shop")
    assert router.command("商店", "shop")(answer) is answer
    assert router.command("买", takes_text=True, for_managers=True)(answer) is answer
    assert router.text(find) is find
    assert router.on(Subscribed, Entered)(answer) is answer

    assert [(c.name, c.words, c.takes_text, c.for_managers) for c in router.commands] == [
        ("shop.answer", ("商店", "shop"), False, False),
        ("shop.answer", ("买",), True, True),
    ]
    assert router.finders == [("shop.find", find)]
    assert router.reports == [(Subscribed, "shop.answer", answer), (Entered, "shop.answer", answer)]


@pytest.mark.parametrize(
    "words", [(), ("",), (" ",), ("买 东西",), ("商店", "sho p"), ("/商店",), ("#shop",), ("／商店",)]
)
def test_a_command_that_could_never_be_met_is_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="router shop: a command needs words"):
        Router("shop").command(*words)


def test_two_routers_share_nothing() -> None:
    one, other = Router("one"), Router("other")
    one.command("一")(answer)
    assert (other.commands, other.finders, other.reports) == ([], [], [])


def test_nobody_has_no_answer() -> None:
    assert Route("nobody") == NOBODY
    assert (NOBODY.handler, NOBODY.constant) == (None, None)
