"""What the platforms' error codes mean for us: what to do, and what to tell the operator.

A *reason* is the short code kept with a delivery: ``errcode_<n>`` for a refused send, ``token_<n>`` for a
refused access token, or a word of our own. `explain` turns it into cause and cure, in English and Chinese.

Source: WeCom, access_token, rate limits, error codes; WeCom, group robot webhook; WeCom, AI bot, long
connection; Official Account, access_token and error codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Verdict(StrEnum):
    """What to do about a code."""

    RETRY = "retry"  # the same call may succeed later
    REFRESH = "refresh"  # with another access token; if it comes again, later
    WAIT = "wait"  # the whole channel is blocked for a while
    CONFIGURATION = "configuration"  # an administrator must act; the whole channel waits for it
    GIVE_UP = "give_up"  # never for this receiver or content


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why, and what to do about it; English and Chinese."""

    cause: str
    cure: str
    cause_zh: str
    cure_zh: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One code: its verdict, its words, and for how long a channel waits at first and at most, seconds."""

    verdict: Verdict
    text: Explanation
    first_s: int = 0
    longest_s: int = 0


def _rule(
    verdict: Verdict, cause: str, cure: str, cause_zh: str, cure_zh: str, wait_s: tuple[int, int] = (0, 0)
) -> Rule:
    if verdict is Verdict.CONFIGURATION and wait_s == (0, 0):
        wait_s = (60, 600)
    return Rule(verdict, Explanation(cause, cure, cause_zh, cure_zh), *wait_s)


_V = Verdict

_TOKEN_REFUSED = _rule(
    _V.REFRESH,
    "the platform no longer accepts the access token",
    "nothing to do: it is replaced; if this stays, another program uses the same secret",
    "平台不再接受 access_token",
    "无需处理，会自动更换；若持续出现，说明另有程序在使用同一个 secret",
)

_SHARED: Mapping[int, Rule] = {
    -1: _rule(
        _V.RETRY,
        "the platform is busy",
        "nothing to do: it is tried again",
        "平台系统繁忙",
        "无需处理，会自动重试",
    ),
    40014: _TOKEN_REFUSED,
    42001: _TOKEN_REFUSED,
    45002: _rule(
        _V.GIVE_UP,
        "the content is too long",
        "shorten the text",
        "内容超过长度限制",
        "请缩短文本",
    ),
    45011: _rule(
        _V.RETRY,
        "this call is made too often",
        "nothing to do: it is tried again more slowly",
        "接口调用过于频繁",
        "无需处理，会放慢后重试",
        (5, 60),
    ),
}

_WECOM: Mapping[int, Rule] = {
    **_SHARED,
    40001: _rule(
        _V.CONFIGURATION,
        "the secret is wrong, or belongs to another app",
        "copy the Secret of this very app from the admin console into the channel's secret",
        "Secret 错误，或属于另一个应用",
        "请在管理后台复制该应用的 Secret，填入渠道的 secret",
    ),
    40013: _rule(
        _V.CONFIGURATION,
        "the corp id is wrong",
        "copy it from the admin console, My company, into the channel's corp_id",
        "企业 ID 错误",
        "请在管理后台“我的企业”复制企业 ID，填入渠道的 corp_id",
    ),
    40056: _rule(
        _V.CONFIGURATION,
        "the agent id is not that of this secret's app",
        "copy the app's AgentId into the channel's agent_id",
        "AgentId 与该 Secret 的应用不符",
        "请把该应用的 AgentId 填入渠道的 agent_id",
    ),
    41001: _rule(
        _V.GIVE_UP,
        "the call carried no access token, which is a mistake of this program",
        "report it with the time of the delivery",
        "请求缺少 access_token，这是本程序的错误",
        "请附上投递时间反馈给开发者",
    ),
    45009: _rule(
        _V.WAIT,
        "the company's quota of calls is used up for a minute, an hour or the day",
        "nothing to do: sending goes on when the block ends",
        "企业的接口调用次数已达上限（分钟、小时或当天）",
        "无需处理，解除限制后自动继续发送",
        (60, 3600),
    ),
    45033: _rule(
        _V.WAIT,
        "too many calls at the same time",
        "nothing to do: it is tried again; other programs of the company may share the limit",
        "接口并发调用过多",
        "无需处理，会自动重试；企业内其他程序可能共用该限制",
        (2, 60),
    ),
    48002: _rule(
        _V.CONFIGURATION,
        "this app may not use this call",
        "list the app under the feature's callable apps, or use the right app",
        "该应用没有调用此接口的权限",
        "请在对应功能的“可调用应用”中加入该应用，或改用正确的应用",
    ),
    40058: _rule(
        _V.GIVE_UP,
        "a parameter of the call is not valid, such as a chat that is not one of the app's own groups",
        "check the receiver and the content; a group chat must have been made by this app",
        "请求参数不合法，例如群聊不是该应用创建的",
        "请检查接收人与内容；群聊必须由该应用创建",
    ),
    60011: _rule(
        _V.GIVE_UP,
        "the app has no right to this member, department or agent",
        "widen the app's visible range, then resend",
        "应用无权管理该成员、部门或应用",
        "请扩大应用的可见范围后重发",
    ),
    60020: _rule(
        _V.CONFIGURATION,
        "this server's IP address is not in the app's list of trusted IPs",
        "add the address of this server to the app's trusted IPs (企业可信IP)",
        "本服务器的 IP 不在应用的企业可信IP 中",
        "请把本服务器的出口 IP 加入该应用的企业可信IP",
    ),
    81013: _rule(
        _V.GIVE_UP,
        "the receiver does not exist or is outside the app's visible range",
        "check the member and the app's visible range, then resend",
        "接收人不存在或不在应用可见范围内",
        "请检查成员与应用可见范围后重发",
    ),
    301002: _rule(
        _V.GIVE_UP,
        "no permission or licence for this account",
        "give the member a licence, then resend",
        "该账号没有权限或许可",
        "请为该成员开通许可后重发",
    ),
}

_WECHAT: Mapping[int, Rule] = {
    **_SHARED,
    40001: _TOKEN_REFUSED,  # superseded by another program's token; a wrong secret shows when fetching one
    40003: _rule(
        _V.GIVE_UP,
        "the receiver's openid does not belong to this account",
        "check that the channel's app_id is the account the person follows",
        "openid 不属于该公众号",
        "请确认渠道的 app_id 是该用户关注的公众号",
    ),
    40013: _rule(
        _V.CONFIGURATION,
        "the appid is wrong",
        "copy it from the account's console into the channel's app_id",
        "AppID 错误",
        "请在公众平台复制 AppID，填入渠道的 app_id",
    ),
    40164: _rule(
        _V.CONFIGURATION,
        "this server's IP address is not in the account's whitelist",
        "add the address of this server to the IP whitelist in the account's console",
        "本服务器的 IP 不在公众号的 IP 白名单中",
        "请在公众平台把本服务器的出口 IP 加入 IP 白名单",
    ),
    41001: _TOKEN_REFUSED,
    43004: _rule(
        _V.GIVE_UP,
        "the person does not follow the account",
        "nothing can reach them until they follow it again",
        "用户未关注公众号",
        "用户重新关注前无法送达",
    ),
    43019: _rule(
        _V.GIVE_UP,
        "the person is in the account's block list",
        "take them off the block list, then resend",
        "用户在公众号黑名单中",
        "请移出黑名单后重发",
    ),
    45008: _rule(
        _V.GIVE_UP,
        "too many articles in one message",
        "send fewer articles",
        "图文条数超过限制",
        "请减少图文条数",
    ),
    45009: _rule(
        _V.WAIT,
        "the account's quota of calls is used up for today",
        "it starts anew at midnight; resend what died meanwhile",
        "公众号当天的接口调用次数已用完",
        "次日零点恢复，期间失败的投递请手动重发",
        (600, 3600),
    ),
    45015: _rule(
        _V.GIVE_UP,
        "the window for answers is closed: the person last wrote more than 48 hours ago",
        "it opens when they write again; then resend",
        "回复时限已过：用户超过 48 小时未互动",
        "用户再次发来消息后可重发",
    ),
    45047: _rule(
        _V.GIVE_UP,
        "the messages allowed since the person last wrote are used up",
        "more are allowed when they write again; then resend",
        "自用户上次互动以来的客服消息条数已用完",
        "用户再次发来消息后可重发",
    ),
    48001: _rule(
        _V.CONFIGURATION,
        "this account may not use customer-service messages",
        "verify the account, or rely on answers within five seconds",
        "该公众号没有客服消息接口的权限",
        "请完成公众号认证，或只使用五秒内的被动回复",
    ),
    48002: _rule(
        _V.GIVE_UP,
        "the person refuses messages of this account",
        "nothing can reach them until they allow it",
        "用户拒收该公众号的消息",
        "用户允许前无法送达",
    ),
    48004: _rule(
        _V.CONFIGURATION,
        "the platform has banned this call for the account",
        "see the account's console for the reason",
        "该公众号的此接口已被封禁",
        "请登录公众平台查看原因",
    ),
    50001: _rule(
        _V.CONFIGURATION,
        "the account has not authorised this call",
        "authorise it in the account's console",
        "公众号未授权该接口",
        "请在公众平台完成授权",
    ),
    50005: _rule(
        _V.GIVE_UP,
        "the person does not follow the account",
        "nothing can reach them until they follow it again",
        "用户未关注公众号",
        "用户重新关注前无法送达",
    ),
}

_CALLED_TOO_OFTEN = _WECOM[45011]

_ROBOT: Mapping[int, Rule] = {
    -1: _SHARED[-1],
    40058: _rule(
        _V.GIVE_UP,
        "the platform does not take this content from a robot",
        "simplify the message, then resend",
        "平台不接受机器人发送此内容",
        "请简化消息后重发",
    ),
    45002: _SHARED[45002],
    45009: _rule(
        _V.WAIT,
        "the robot said more than 20 messages in a minute; another program may use the same key",
        "nothing to do: sending goes on in a minute; give every program a robot of its own",
        "机器人一分钟内发送超过 20 条；可能有其他程序在使用同一个 key",
        "无需处理，一分钟后自动继续；请为每个程序使用单独的机器人",
        (60, 600),
    ),
    45011: _CALLED_TOO_OFTEN,
    45033: _WECOM[45033],
    93000: _rule(
        _V.CONFIGURATION,
        "the robot's key is not valid: the robot was removed from its group, or the key is mistyped",
        "copy the key of the robot's webhook address into the channel's key",
        "机器人的 key 无效：机器人已被移出群，或 key 填写有误",
        "请从机器人的 Webhook 地址复制 key，填入渠道的 key",
    ),
}

_AIBOT: Mapping[int, Rule] = {
    -1: _SHARED[-1],
    40001: _rule(
        _V.CONFIGURATION,
        "the bot's id or secret is wrong",
        "copy both from the bot's page in the admin console into bot_id and secret",
        "机器人的 ID 或 Secret 错误",
        "请在管理后台的机器人页面复制 bot_id 与 secret",
    ),
    40058: _rule(
        _V.GIVE_UP,
        "the platform does not take this answer: the chat is unknown to the bot, or the content is not valid",
        "the bot can write only to chats in which somebody spoke to it before; else simplify the message",
        "平台不接受此消息：机器人不认识该会话，或内容不合法",
        "机器人只能向曾与它对话的会话发送；否则请简化消息",
    ),
    45002: _SHARED[45002],
    45009: _rule(
        _V.WAIT,
        "the bot's messages to this chat are used up for the minute or the hour (30 and 1000)",
        "nothing to do: sending goes on when the limit ends",
        "机器人对该会话的消息已达上限（每分钟 30 条、每小时 1000 条）",
        "无需处理，限制解除后自动继续发送",
        (60, 3600),
    ),
    45011: _CALLED_TOO_OFTEN,
    45033: _WECOM[45033],
    40007: _rule(
        _V.RETRY,
        "the platform no longer has the uploaded file",
        "nothing to do: it is uploaded again",
        "平台上的素材已失效",
        "无需处理，会重新上传",
    ),
    60011: _rule(
        _V.GIVE_UP,
        "the bot does not know this chat: the person never wrote to it, or it is not in the group",
        "let them write to the bot, or mention it in the group, then resend",
        "机器人不认识该会话：用户没有给它发过消息，或它不在群里",
        "请用户先给机器人发消息，或在群里 @ 它，然后重发",
    ),
    846605: _rule(
        _V.RETRY,
        "the platform takes no answer to this message any more",
        "nothing to do: it is sent as a message of its own",
        "平台不再接受对该消息的回复",
        "无需处理，会改为主动发送",
    ),
    853006: _rule(
        _V.CONFIGURATION,
        "the platform does not offer this to a company of this size",
        "use the bot by callback or long connection, or ask the vendor",
        "平台不向该规模的企业开放此功能",
        "请改用回调或长连接方式，或咨询官方",
    ),
}

SEND_RULES: Mapping[str, Mapping[int, Rule]] = {
    "wecom_app": _WECOM,
    "wecom_robot": _ROBOT,
    "wecom_aibot": _AIBOT,
    "wechat_oa": _WECHAT,
}
"""Rules of refused sends by kind of channel and errcode."""

_WRONG_WECHAT_SECRET = _rule(
    _V.CONFIGURATION,
    "the secret is wrong, or was reset",
    "copy the AppSecret from the account's console into the channel's secret",
    "AppSecret 错误或已被重置",
    "请在公众平台复制 AppSecret，填入渠道的 secret",
)
_WRONG_WECOM_SECRET = _WECOM[40001]

TOKEN_RULES: Mapping[str, Mapping[int, Rule]] = {
    "wecom_app": {code: _WECOM[code] for code in (-1, 40001, 40013, 45009, 45011, 60020)}
    | {40125: _WRONG_WECOM_SECRET},
    "wechat_oa": {code: _WECHAT[code] for code in (-1, 40013, 40164, 45009, 45011)}
    | {40001: _WRONG_WECHAT_SECRET, 40125: _WRONG_WECHAT_SECRET},
}
"""Rules of refused access tokens; what is not here is a configuration error."""

TOKEN_ENDPOINTS = frozenset({"cgi-bin/gettoken", "cgi-bin/token", "cgi-bin/stable_token"})

_OWN: Mapping[str, Explanation] = {
    "no_route": Explanation(
        "the channel cannot send by itself: it has no secret, or its kind cannot",
        "set the channel's secret, then resend",
        "该渠道不能主动发送：未配置 secret，或该类渠道不支持",
        "请配置渠道的 secret 后重发",
    ),
    "response_url_unsure": Explanation(
        "an earlier attempt got no answer, and the platform refuses a second: most likely it was shown",
        "ask the member whether they have the answer; it cannot be resent",
        "上一次发送没有收到应答，平台又拒绝了第二次发送，很可能已经送达",
        "请向成员确认是否收到；本条无法重发",
    ),
    "response_url_untrusted": Explanation(
        "the address that came with the message is neither https nor the channel's api_base",
        "check the channel's api_base; such an address is never called",
        "消息附带的回复地址既不是 https，也不是该渠道的 api_base",
        "请检查渠道的 api_base；这样的地址不会被调用",
    ),
    "unreachable": Explanation(
        "the platform gave no usable answer",
        "check this server's way to the platform's API, then resend",
        "平台没有返回可用的应答",
        "请检查本服务器到平台接口的网络后重发",
    ),
    "invalid_user": Explanation(
        "the platform took the message and left the receiver out (invaliduser): it does not know them, or "
        "they are outside the app's visible range",
        "check the member and the app's visible range, then resend",
        "平台已接收消息，但未送达该接收人（invaliduser）：不认识此人，或其不在应用可见范围内",
        "请检查成员与应用可见范围后重发",
    ),
    "unlicensed_user": Explanation(
        "the platform took the message and left the receiver out (unlicenseduser): no licence for this app",
        "give the member a licence, then resend",
        "平台已接收消息，但未送达该接收人（unlicenseduser）：没有该应用的基础许可",
        "请为该成员开通许可后重发",
    ),
    "unsendable": Explanation(
        "the channel cannot send this part",
        "answer with a kind, type and size that the channel takes",
        "该渠道不能发送这部分内容",
        "请改用渠道支持的内容类型、格式与大小",
    ),
    "too_late": Explanation(
        "it was no longer worth sending when its turn came",
        "see why it waited (limits of the channel, a blocked channel, quiet hours); resend it if it matters",
        "轮到发送时已过有效时间",
        "请查看等待的原因（渠道频率上限、渠道被阻塞、免打扰时段）；仍需要时可重发",
    ),
    "quiet_hours": Explanation(
        "nothing unprompted leaves in the community's quiet hours, and afterwards it would be too late",
        "resend it by day, or give it a longer time in which it is useful",
        "社群处于免打扰时段，时段结束后已过有效时间",
        "请在白天重发，或设置更长的有效时间",
    ),
    "capped": Explanation(
        "the receiver has had as many unprompted messages today as the community allows",
        "resend it tomorrow, or raise member_per_day or group_per_day under decency",
        "接收人今天收到的主动消息已达社群上限",
        "请明天重发，或调高 decency 的 member_per_day 或 group_per_day",
    ),
    "opted_out": Explanation(
        "the member opted out (unsubscribe), or a manager muted the group or the community",
        "nothing goes unprompted until the member sends subscribe, or a manager unmute",
        "成员已退订，或管理员已将该群或社群静音",
        "成员发送“订阅”或管理员发送“恢复”之前，不会主动发送",
    ),
    "response_url_used": Explanation(
        "the platform lets one message follow an answer, and that one was sent; the rest has no way",
        "ask the bot again; let the handler answer in one message, or use the long connection",
        "平台只允许补发一条消息，已经用完，其余内容无法送达",
        "请重新向机器人提问；让处理器用一条消息回答，或改用长连接",
    ),
    "response_url_gone": Explanation(
        "the address that the platform gave to answer with is used up or an hour old",
        "ask the bot again; a resend cannot reach it either",
        "平台给出的回复地址已使用或已超过一小时",
        "请重新向机器人提问；重发也无法送达",
    ),
    "connection_lost": Explanation(
        "the long connection to the platform was lost before the message was acknowledged",
        "nothing to do: it is tried again when the connection is back",
        "长连接在消息得到确认前断开",
        "无需处理，连接恢复后会自动重试",
    ),
    "too_many_parts": Explanation(
        "the answer has more messages than the channel can send after a question",
        "answer in fewer or shorter messages",
        "回答的条数超过该渠道可以补发的条数",
        "请减少消息条数或缩短内容",
    ),
    "unreadable": Explanation(
        "the stored delivery cannot be read",
        "report it with the delivery's id",
        "保存的投递内容无法读取",
        "请附上投递编号反馈给开发者",
    ),
    "error": Explanation(
        "sending failed by a mistake of this program",
        "see the log at the time of the delivery and report it",
        "发送时程序出错",
        "请查看投递时间的日志并反馈给开发者",
    ),
}


def rule_of(kind: str, endpoint: str, errcode: int) -> Rule:
    """Return what a refused call means; `endpoint` tells a token call from a send."""
    if endpoint in TOKEN_ENDPOINTS:
        known = TOKEN_RULES.get(kind, {}).get(errcode)
        return known or Rule(_V.CONFIGURATION, _unknown(errcode), 60, 600)
    known = SEND_RULES.get(kind, {}).get(errcode)
    if known is not None:
        return known
    # "Do not retry 4xxxx parameter errors at all": some 2,000 an hour block the caller's address.
    verdict = _V.GIVE_UP if 40000 <= errcode < 50000 else _V.RETRY
    return Rule(verdict, _unknown(errcode))


def reason_of(endpoint: str, errcode: int) -> str:
    """Return the short code that is kept with a delivery."""
    return f"{'token' if endpoint in TOKEN_ENDPOINTS else 'errcode'}_{errcode}"


def explain(kind: str, reason: str) -> Explanation:
    """Return cause and cure of a delivery's reason on a kind of channel."""
    word, _, detail = reason.partition(":")
    if word in _OWN:
        return _with_detail(_OWN[word], detail.strip())
    source, _, code = reason.partition("_")
    try:
        errcode = int(code)
    except ValueError:
        return _unknown(0)
    return rule_of(kind, "cgi-bin/token" if source == "token" else "", errcode).text


def _with_detail(text: Explanation, detail: str) -> Explanation:
    """Return an explanation that names the part and what is wrong with it."""
    if not detail:
        return text
    return replace(text, cause=f"{text.cause} ({detail})", cause_zh=f"{text.cause_zh}（{detail}）")


def _unknown(errcode: int) -> Explanation:
    return Explanation(
        f"the platform refused the call with error code {errcode}",
        "look the code up in the platform's list of error codes, then resend",
        f"平台返回错误码 {errcode}",
        "请在平台的错误码文档中查询后重发",
    )
