"""The vendor's side of a callback, made by wechatpy: an implementation that is not ours."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode
from xml.sax.saxutils import escape

import pytest
import xmltodict
from wechatpy.crypto import WeChatCrypto as OfficialAccountCrypto
from wechatpy.enterprise.crypto import WeChatCrypto as WecomCrypto

from bot.platforms.wechat.official_account import OfficialAccount
from bot.platforms.wecom.app import WecomApp

TOKEN = "tokTEST1"
AES_KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
Post = Callable[[str], tuple[str, bytes]]


@pytest.fixture(scope="session")
def wecom() -> WecomApp:
    return WecomApp(
        channel="app", corp_id="ww0example", agent_id=1000007, token=TOKEN, encoding_aes_key=AES_KEY
    )


@pytest.fixture(scope="session")
def account() -> OfficialAccount:
    return OfficialAccount(channel="oa", app_id="wx0example", token=TOKEN, encoding_aes_key=AES_KEY)


@pytest.fixture(scope="session")
def wecom_vendor() -> WecomCrypto:
    return WecomCrypto(TOKEN, AES_KEY, "ww0example")


@pytest.fixture(scope="session")
def account_vendor() -> OfficialAccountCrypto:
    return OfficialAccountCrypto(TOKEN, AES_KEY, "wx0example")


def _sealed(crypto: WecomCrypto | OfficialAccountCrypto, message: str) -> tuple[str, str]:
    """Return (query, Encrypt) of `message`, as the vendor sends it."""
    shell = xmltodict.parse(crypto.encrypt_message(message, "nonce42", "1790000000"))["xml"]
    fields = {"msg_signature": shell["MsgSignature"], "timestamp": "1790000000", "nonce": "nonce42"}
    return urlencode(fields), shell["Encrypt"]


@pytest.fixture(scope="session")
def wecom_post(wecom_vendor: WecomCrypto) -> Post:
    """Return (query, body) of a WeCom callback that holds the given XML."""

    def post(message: str) -> tuple[str, bytes]:
        query, encrypted = _sealed(wecom_vendor, message)
        body = (
            "<xml><ToUserName><![CDATA[ww0example]]></ToUserName><AgentID><![CDATA[1000007]]></AgentID>"
            f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
        )
        return query, body.encode()

    return post


@pytest.fixture(scope="session")
def account_post(account_vendor: OfficialAccountCrypto) -> Post:
    """Return (query, body) of an encrypted Official Account callback that holds the given XML."""

    def post(message: str) -> tuple[str, bytes]:
        query, encrypted = _sealed(account_vendor, message)
        body = f"<xml><ToUserName>gh_example</ToUserName><Encrypt>{escape(encrypted)}</Encrypt></xml>"
        return f"signature=unused&openid=oEXAMPLE&encrypt_type=aes&{query}", body.encode()

    return post
