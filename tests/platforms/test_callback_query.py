"""The query string of a callback."""

from __future__ import annotations

from contextlib import suppress
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import SignatureError
from bot.platforms.query import parse_query, require


def test_known_fields_are_read_and_others_ignored() -> None:
    query = "utm=1&msg_signature=ab&timestamp=1790000000&nonce=n&openid=oEXAMPLE&encrypt_type=aes&utm=2"
    assert parse_query(query) == {
        "msg_signature": "ab",
        "timestamp": "1790000000",
        "nonce": "n",
        "openid": "oEXAMPLE",
        "encrypt_type": "aes",
    }


def test_an_empty_query_has_no_fields() -> None:
    assert parse_query("") == {}


@pytest.mark.parametrize("echostr", ["a+b/c==", "a%2Bb%2Fc%3D%3D", "a%2bb/c%3d=", "a%20b/c=="])
def test_the_plus_sign_of_an_echostr_survives_every_way_of_sending_it(echostr: str) -> None:
    assert parse_query(f"echostr={echostr}") == {"echostr": "a+b/c=="}


def test_in_other_fields_a_plus_sign_is_a_space() -> None:
    assert parse_query("nonce=a+b%2Bc") == {"nonce": "a b+c"}


@given(
    st.fixed_dictionaries(
        {"msg_signature": st.text(min_size=1), "timestamp": st.text(min_size=1), "nonce": st.text()},
    )
)
def test_a_query_made_by_the_standard_library_is_read_back(fields: dict[str, str]) -> None:
    assert parse_query(urlencode(fields)) == fields


@pytest.mark.parametrize(
    "query",
    [
        "nonce=a&nonce=a",
        "nonce=a&timestamp=1&nonce=",
        "nonce=%ff",
        "echostr=%e4%bd",
        "nonce=签到",
        "x=\udc80",
    ],
)
def test_a_query_no_platform_signs_is_refused(query: str) -> None:
    with pytest.raises(SignatureError):
        parse_query(query)


@pytest.mark.parametrize("fields", [{}, {"nonce": "n"}, {"nonce": "", "timestamp": "1"}])
def test_a_missing_or_empty_field_is_refused_and_named(fields: dict[str, str]) -> None:
    with pytest.raises(SignatureError, match=r"missing in the query string: (nonce|timestamp)"):
        require(fields, "nonce", "timestamp")


@given(st.text())
def test_any_text_is_read_or_refused(query: str) -> None:
    with suppress(SignatureError):
        parse_query(query)
