"""What the doctor finds, and the words for it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bot.delivery.errcodes import Explanation


class Level(StrEnum):
    """How bad it is; only `wrong` makes the exit code 1."""

    WELL = "well"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        subject: What it is about: ``channel app``, ``redis``, ``sql``, ``server``.
        code: A short word that programs can rely on, such as ``wrong_secret``.
        level: How bad it is.
        text: Cause and cure, in English and Chinese; of what is well, the cause says what was seen.
        detail: What the other side said, such as an address or a number; never a secret.
    """

    subject: str
    code: str
    level: Level
    text: Explanation
    detail: str = ""

    def line(self, language: str) -> str:
        """Return the finding for a terminal; the cure on a line of its own."""
        chinese = language.startswith("zh")
        cause = self.text.cause_zh if chinese else self.text.cause
        cure = self.text.cure_zh if chinese else self.text.cure
        detail = (f"（{self.detail}）" if chinese else f" ({self.detail})") if self.detail else ""
        word = (_LEVELS_ZH if chinese else _LEVELS)[self.level]
        head = f"{word} {self.subject}: {cause}{detail} [{self.code}]"
        return f"{head}\n      → {cure}" if cure else head


_LEVELS: Mapping[Level, str] = {Level.WELL: "✓", Level.WARNING: "! warning:", Level.WRONG: "✗ wrong:"}
_LEVELS_ZH: Mapping[Level, str] = {Level.WELL: "✓", Level.WARNING: "! 注意：", Level.WRONG: "✗ 错误："}


def find(subject: str, code: str, detail: str = "") -> Finding:
    """Return the finding that `WORDS` describes under `code`.

    Raises:
        KeyError: It describes none.
    """
    level, text = WORDS[code]
    return Finding(subject, code, level, text, detail)


def _words(level: Level, cause: str, cure: str, cause_zh: str, cure_zh: str) -> tuple[Level, Explanation]:
    return level, Explanation(cause, cure, cause_zh, cure_zh)


_WELL, _WARNING, _WRONG = Level.WELL, Level.WARNING, Level.WRONG

WORDS: Mapping[str, tuple[Level, Explanation]] = {
    # ---------------------------------------------------------------- stores
    "redis_answers": _words(_WELL, "Redis answers", "", "Redis 应答正常", ""),
    "redis_away": _words(
        _WRONG,
        "Redis does not answer",
        "start it, and check address, password and firewall in storage.redis",
        "Redis 没有应答",
        "请启动 Redis，并检查 storage.redis 的地址、密码和防火墙",
    ),
    "redis_forgets": _words(
        _WRONG,
        "Redis keeps nothing on disk: a restart of it loses points and deliveries",
        "switch on appendonly yes (appendfsync everysec, or always)",
        "Redis 未开启持久化：重启后积分和投递都会丢失",
        "请设置 appendonly yes（appendfsync everysec 或 always）",
    ),
    "redis_snapshots_only": _words(
        _WARNING,
        "Redis writes snapshots only: a crash of it loses what came after the last one",
        "switch on appendonly yes",
        "Redis 只做快照：崩溃会丢失上次快照之后的数据",
        "请设置 appendonly yes",
    ),
    "redis_cannot_write": _words(
        _WRONG,
        "Redis cannot write its file",
        "look at the disk's space and rights, and at Redis' own log",
        "Redis 无法写入持久化文件",
        "请检查磁盘空间、目录权限和 Redis 日志",
    ),
    "redis_evicts": _words(
        _WRONG,
        "Redis throws keys away when its memory is full",
        "set maxmemory-policy noeviction, and give it memory enough",
        "内存满时 Redis 会淘汰数据",
        "请设置 maxmemory-policy noeviction，并留足内存",
    ),
    "redis_clock": _words(
        _WARNING,
        "the clock of the Redis server differs from this machine's",
        "let both follow the same time service (NTP)",
        "Redis 服务器与本机的时钟不一致",
        "请让两台机器使用同一个时间服务（NTP）",
    ),
    "sql_answers": _words(
        _WELL, "the database answers, its schema is this version's", "", "数据库应答正常，结构为当前版本", ""
    ),
    "sql_away": _words(
        _WRONG,
        "the database does not answer, or refuses us",
        "start it, and check address, user, password and rights in storage.database",
        "数据库没有应答或拒绝访问",
        "请启动数据库，并检查 storage.database 的地址、用户、密码和权限",
    ),
    "no_dead_deliveries": _words(
        _WELL, "no delivery died in the last 24 hours", "", "近 24 小时没有失败的投递", ""
    ),
    "dead_deliveries": _words(
        _WARNING,
        "deliveries died in the last 24 hours",
        "see GET /api/v1/deliveries?state=dead for each one's reason, then resend",
        "近 24 小时有投递失败",
        "请用 GET /api/v1/deliveries?state=dead 查看原因后重发",
    ),
    # ---------------------------------------------------------------- the server and its address
    "server_runs": _words(_WELL, "the server answers", "", "服务已运行", ""),
    "server_stopped": _words(
        _WARNING,
        "no server answers on this machine, so callback addresses could not be tried",
        "start `run.py serve`, then look again",
        "本机没有运行中的服务，无法测试回调地址",
        "请先运行 run.py serve，再执行检查",
    ),
    "no_public_url": _words(
        _WARNING,
        "server.public_url is empty: callbacks were tried from this machine only, not from outside",
        "set it to the https address that reaches this server",
        "未设置 server.public_url：只能从本机测试回调，无法代表外网",
        "请填写可从外网访问本服务的 https 地址",
    ),
    # ---------------------------------------------------------------- callbacks
    "callback_answers": _words(
        _WELL, "the callback address passes the platform's test", "", "回调地址通过平台的校验方式", ""
    ),
    "callback_unreachable": _words(
        _WRONG,
        "the callback address cannot be reached",
        "check DNS, port, firewall, certificate and the reverse proxy in front of the server",
        "回调地址无法访问",
        "请检查域名解析、端口、防火墙、证书以及服务前的反向代理",
    ),
    "callback_not_found": _words(
        _WRONG,
        "something answers there, but it knows no such path",
        "let the reverse proxy pass /callback/ on unchanged, and check the channel's name in the URL",
        "该地址有应答，但路径不存在",
        "请让反向代理原样转发 /callback/，并检查 URL 末尾的渠道名",
    ),
    "callback_signature": _words(
        _WRONG,
        "the server behind the callback address refuses a correct signature of this configuration",
        "it runs with another token: restart it with this configuration, or take over its token",
        "回调地址的服务拒绝了按本配置计算的正确签名",
        "它使用的 Token 不同：请用本配置重启，或改为它的 Token",
    ),
    "callback_key": _words(
        _WRONG,
        "the server behind the callback address cannot decrypt with this configuration's key",
        "its encoding_aes_key or receiver id differs: restart it with this configuration",
        "回调地址的服务无法用本配置的密钥解密",
        "它的 encoding_aes_key 或接收方 ID 不同：请用本配置重启",
    ),
    "callback_answers_page": _words(
        _WRONG,
        "a web page answers there instead of the bot",
        "a proxy, a login page or another site stands in front: pass /callback/ on to this server",
        "回调地址返回了网页，而不是机器人的应答",
        "前面有代理、登录页或其他网站：请把 /callback/ 转发到本服务",
    ),
    "callback_redirects": _words(
        _WRONG,
        "the callback address redirects elsewhere, which platforms do not follow",
        "enter the address it redirects to, usually the one with https",
        "回调地址发生跳转，平台不会跟随",
        "请直接填写跳转后的地址，通常是 https 地址",
    ),
    "callback_altered": _words(
        _WRONG,
        "the answer to the platform's test is not exactly the text sent",
        "something in between alters it (a line break, a byte order mark, quotes): switch that off",
        "对平台校验的应答与发送的内容不完全一致",
        "中间环节改动了内容（换行、BOM、引号）：请关闭该处理",
    ),
    "callback_slow": _words(
        _WARNING,
        "the callback address answers its test after more than a second",
        "platforms wait one second when the address is saved: look for a slow proxy or network",
        "回调地址的校验应答超过 1 秒",
        "保存地址时平台只等 1 秒：请检查代理和网络",
    ),
    "callback_failed": _words(
        _WRONG,
        "the callback address answers its test with an error",
        "see the log of the server at this moment",
        "回调地址的校验返回错误",
        "请查看服务此刻的日志",
    ),
    # ---------------------------------------------------------------- the platform's interfaces
    "platform_unreachable": _words(
        _WRONG,
        "the platform's interface cannot be reached from this machine",
        "check api_base, DNS, the proxy and the firewall for outgoing HTTPS",
        "本机无法访问平台接口",
        "请检查 api_base、域名解析、代理以及出站 HTTPS 防火墙",
    ),
    "platform_no_json": _words(
        _WRONG,
        "something else than the platform answers at api_base",
        "check api_base and any proxy in between",
        "api_base 处的应答不是平台接口",
        "请检查 api_base 以及中间的代理",
    ),
    "token_granted": _words(_WELL, "the platform grants an access token", "", "可以取得 access_token", ""),
    "may_send": _words(_WELL, "the platform lets this channel send", "", "平台允许该渠道发送消息", ""),
    "no_secret": _words(
        _WARNING,
        "the channel has no secret: late and further answers cannot be sent",
        "set the channel's secret",
        "渠道没有配置 secret：超时或多条回复无法发送",
        "请配置该渠道的 secret",
    ),
    "trusted_ip": _words(
        _WRONG,
        "the platform refuses this server's address",
        "add it to the app's trusted IPs (企业可信IP), or the account's IP whitelist",
        "平台拒绝本服务器的 IP",
        "请把它加入应用的企业可信IP，或公众号的 IP 白名单",
    ),
    "clock_right": _words(
        _WELL, "this machine's clock agrees with the platform's", "", "本机时钟与平台一致", ""
    ),
    "clock_skew": _words(
        _WRONG,
        "this machine's clock is off: days, deadlines and signatures are judged by it",
        "switch on time synchronisation (NTP, chrony, systemd-timesyncd)",
        "本机时钟不准：日期、时限和签名都依赖它",
        "请开启时间同步（NTP、chrony 或 systemd-timesyncd）",
    ),
    "channel_blocked": _words(
        _WARNING,
        "sending through this channel is paused",
        "see the reason; it goes on by itself when that is mended",
        "该渠道暂停发送",
        "请处理原因，之后会自动恢复",
    ),
    "key_accepted": _words(_WELL, "the platform knows the robot's key", "", "平台认可该机器人的 key", ""),
    "wrong_key": _words(
        _WRONG,
        "the platform does not know the robot's key",
        "copy what follows key= in the robot's webhook address; a removed robot has a new one",
        "平台不认识该机器人的 key",
        "请复制机器人 Webhook 地址中 key= 之后的内容；移除后重新添加的机器人 key 会变",
    ),
    "connection_held": _words(
        _WELL, "the long connection is held by a running process", "", "长连接由运行中的进程保持", ""
    ),
    "connection_waits": _words(
        _WARNING,
        "a running process holds the long connection's lease, but the connection is not open",
        "see what it said last; after a kick by another program it waits 5 s and longer",
        "运行中的进程持有长连接的租约，但连接尚未建立",
        "请看最近的原因；被其他程序挤下线后，它会等待 5 秒或更久再重试",
    ),
    "connection_works": _words(
        _WELL,
        "the platform accepts the long connection's bot id and secret",
        "",
        "平台接受长连接的 Bot ID 与 Secret",
        "",
    ),
    "connection_refused": _words(
        _WRONG,
        "the platform refuses the long connection's bot id or secret",
        "copy both from the bot's page, where it is set to API mode with a long connection",
        "平台拒绝长连接的 Bot ID 或 Secret",
        "请在机器人页面（API 模式、长连接）复制这两项",
    ),
    "connection_unreachable": _words(
        _WRONG,
        "the platform's WebSocket address cannot be reached",
        "check ws_base, DNS, the proxy and the firewall for outgoing connections",
        "无法连接平台的 WebSocket 地址",
        "请检查 ws_base、域名解析、代理和出站防火墙",
    ),
}
"""Every finding by its code, but for the platforms' own error codes, whose words are in `errcodes`."""
