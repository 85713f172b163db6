"""Callbacks made, and answers opened, by wechatpy's cryptography: an implementation we did not write."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

import pytest
import xmltodict
from wechatpy.crypto import WeChatCrypto as AccountCrypto
from wechatpy.enterprise.crypto import PrpCrypto as CorpPrpCrypto
from wechatpy.enterprise.crypto import WeChatCrypto as CorpCrypto
from wechatpy.utils import WeChatSigner

from bot.sandbox.channel import SandboxChannel
from tests.e2e.conftest import Running
from tests.e2e.deployments import APP, COMPATIBLE, OA, PLAIN
from tests.e2e.lines import Answer, Line

_numbers = itertools.count(time.time_ns())


def sign(*parts: str) -> str:
    signer = WeChatSigner()
    signer.add_data(*parts)
    return str(signer.signature)


@dataclass(frozen=True)
class Opened:
    """An answer as the platform reads it."""

    outer: dict[str, str]
    inner: dict[str, str]


class Client:
    """A platform written with wechatpy alone, for one channel."""

    def __init__(self, account: SandboxChannel) -> None:
        self.account = account
        self._is_app = account.kind == "wecom_app"
        crypto = CorpCrypto if self._is_app else AccountCrypto
        self._encrypted = account.kind == "wecom_app" or account.mode != "plain"
        if self._encrypted:
            self._crypto = crypto(account.token, account.encoding_aes_key, account.receiver_id)

    def text(self, user_id: str, words: str) -> tuple[str, bytes]:
        """Query and body of the callback of a text."""
        agent = f"<AgentID>{self.account.agent_id}</AgentID>" if self._is_app else ""
        inner = (
            f"<xml><ToUserName><![CDATA[{self.account.account_id}]]></ToUserName>"
            f"<FromUserName><![CDATA[{user_id}]]></FromUserName><CreateTime>{int(time.time())}</CreateTime>"
            f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{words}]]></Content>"
            f"<MsgId>{next(_numbers)}</MsgId>{agent}</xml>"
        )
        timestamp, nonce = str(int(time.time())), secrets.token_hex(5)
        query = {"timestamp": timestamp, "nonce": nonce}
        if not self._is_app:
            query["signature"] = sign(self.account.token, timestamp, nonce)
            query["openid"] = user_id
        if not self._encrypted:
            return urlencode(query), inner.encode()
        sealed = xmltodict.parse(self._crypto.encrypt_message(inner, nonce, timestamp))["xml"]
        query["msg_signature"] = sealed["MsgSignature"]
        element = f"<Encrypt><![CDATA[{sealed['Encrypt']}]]></Encrypt>"
        if self.account.mode == "compatible":
            return urlencode({**query, "encrypt_type": "aes"}), inner.replace(
                "</xml>", f"{element}</xml>"
            ).encode()
        shell = f"<xml><ToUserName><![CDATA[{self.account.account_id}]]></ToUserName>{element}{agent}</xml>"
        return urlencode(query if self._is_app else {**query, "encrypt_type": "aes"}), shell.encode()

    def open(self, answer: Answer) -> Opened:
        """Check signature and receiver of an answer, decrypt and parse it."""
        assert answer.status == 200
        outer = xmltodict.parse(answer.body)["xml"]
        if not self._encrypted:
            return Opened({}, outer)
        assert set(outer) == {"Encrypt", "MsgSignature", "TimeStamp", "Nonce"}  # nothing in clear beside it
        signature = sign(self.account.token, outer["TimeStamp"], outer["Nonce"], outer["Encrypt"])
        assert signature == outer["MsgSignature"]
        inner = self._crypto.decrypt_message(
            answer.body, outer["MsgSignature"], outer["TimeStamp"], outer["Nonce"]
        )
        return Opened(outer, xmltodict.parse(inner)["xml"])

    def verification(self, echo: str) -> str:
        """Query of the test of the callback address."""
        timestamp, nonce = str(int(time.time())), secrets.token_hex(5)
        common = {"timestamp": timestamp, "nonce": nonce}
        if not self._is_app:
            signature = sign(self.account.token, timestamp, nonce)
            return urlencode({**common, "signature": signature, "echostr": echo})
        encrypted = CorpPrpCrypto(self._crypto.key).encrypt(echo, self.account.receiver_id).decode()
        signature = sign(self.account.token, timestamp, nonce, encrypted)
        return urlencode({**common, "msg_signature": signature, "echostr": encrypted})


@pytest.mark.parametrize("account", [APP, OA, COMPATIBLE, PLAIN], ids=lambda account: account.name)
async def test_a_callback_made_by_wechatpy_is_answered_so_that_wechatpy_can_open_it(
    single: Running, account: SandboxChannel
) -> None:
    client = Client(account)
    query, body = client.text("independent", "签到")
    async with Line(single.server.base) as line:
        first = client.open(await line.ask("POST", f"/callback/{account.name}?{query}", body))
        again = client.open(await line.ask("POST", f"/callback/{account.name}?{query}", body))

    assert first.inner["MsgType"] == "text"
    assert first.inner["ToUserName"] == "independent"
    assert first.inner["FromUserName"] == account.account_id
    assert abs(int(first.inner["CreateTime"]) - time.time()) < 60
    assert first.inner["Content"].startswith("签到成功！")
    assert again.inner == first.inner
    if first.outer:
        # Every sealing has random bytes of its own, or an eavesdropper could tell that two are equal.
        assert again.outer["Encrypt"] != first.outer["Encrypt"]
        assert again.outer["Nonce"] != first.outer["Nonce"]


@pytest.mark.parametrize("account", [APP, OA, COMPATIBLE, PLAIN], ids=lambda account: account.name)
async def test_a_message_without_an_answer_is_acknowledged_in_the_platforms_way(
    single: Running, account: SandboxChannel
) -> None:
    query, body = Client(account).text("quiet", "没有人回答这句话")
    async with Line(single.server.base) as line:
        answer = await line.ask("POST", f"/callback/{account.name}?{query}", body)
    assert answer == Answer(200, b"" if account is APP else b"success")


@pytest.mark.parametrize("account", [APP, OA, COMPATIBLE, PLAIN], ids=lambda account: account.name)
async def test_the_test_of_the_address_is_answered_with_the_echo_alone(
    single: Running, account: SandboxChannel
) -> None:
    echo = str(secrets.randbelow(10**18))
    async with Line(single.server.base) as line:
        answer = await line.ask("GET", f"/callback/{account.name}?{Client(account).verification(echo)}")
    assert answer == Answer(200, echo.encode())


@pytest.mark.parametrize("account", [APP, OA], ids=lambda account: account.name)
@pytest.mark.parametrize(
    "spoil",
    [
        lambda query: query.replace("signature=", "signature=0"),
        lambda query: query.replace("nonce=", "nonce=1"),
        lambda query: query.replace("timestamp=", "timestamp=1"),
        lambda query: query.partition("&echostr")[0],
        lambda query: query.partition("&")[2],
        lambda _: "",
    ],
)
async def test_a_test_of_the_address_that_is_not_the_platforms_is_refused(
    single: Running, account: SandboxChannel, spoil: Callable[[str], str]
) -> None:
    query = spoil(Client(account).verification("1234567890"))
    async with Line(single.server.base) as line:
        answer = await line.ask("GET", f"/callback/{account.name}?{query}")
    assert answer.status == 403
    assert b"1234567890" not in answer.body


async def test_a_test_meant_for_another_company_is_refused(single: Running) -> None:
    other = Client(
        SandboxChannel("app", "wecom_app", "ww9999999999999999", "", APP.token, APP.encoding_aes_key)
    )
    async with Line(single.server.base) as line:
        answer = await line.ask("GET", f"/callback/app?{other.verification('1234567890')}")
    assert answer.status == 403
