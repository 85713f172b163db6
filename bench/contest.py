"""Starts every server of a run and says what is measured on it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from bench.arena import Arena, Entry, Server
from bench.cores import Cores, Memory, pin
from bench.load import warm_up
from bench.process import ServerProcess
from bench.product import COUNTED, LiveState, Product, prepare
from bench.sizes import Sizes
from bench.workload import AIBOT, WECHAT, WECOM, Workload, make_chat, make_check_ins, make_rules
from bot.storage.redis.embedded import EmbeddedRedis

FLOOR, FLOOR_UVLOOP, SINK = "floor", "floor_uvloop", "sink"
WECHATPY, WECHATPY_SHARED, WEROBOT = "wechatpy", "wechatpy_shared", "werobot"
AI_BOT, SENDING = "ai_bot", "sending"
SHARED, ALWAYS, CHECK_IN, CHECK_IN_ALWAYS = "shared", "always", "check_in", "check_in_always"


def rules_key(count: int) -> str:
    """Return the key of the product with that many rules."""
    return f"rules_{count}"


@dataclass(slots=True)
class Weights:
    """What a server's process held, MiB: before any load and after all of it."""

    idle: Memory
    loaded: Memory | None = None


@dataclass(slots=True)
class Contest:
    """Everything that runs; left by the stack it was made on.

    Attributes:
        entries: What is measured, by key.
        weights: Processes that were weighed, by key.
        missing: Key → why it cannot be measured here.
    """

    sizes: Sizes
    cores: Cores
    folder: Path
    stack: ExitStack
    arena: Arena
    entries: dict[str, Entry] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)
    products: dict[str, Product] = field(default_factory=dict)
    vendor: ServerProcess | None = None

    def add_products(self, chats: Mapping[int, Workload], check_ins: Workload) -> None:
        """Start the product once per number of rules, and once with appendfsync always."""
        compared = self.sizes.compared_rules
        for count, chat in chats.items():
            server = self._product(rules_key(count), count)
            self._enter(rules_key(count), server, chat)
            if count == compared:
                self._enter(SHARED, server, chat, store_core=self.cores.server)
                self._enter(CHECK_IN, server, check_ins)
                rules = make_rules(count)
                self._enter(AI_BOT, server, make_chat(AIBOT, rules, self.sizes.callbacks, self.sizes.members))
                self._enter(SENDING, server, chat)
        always = self._product(ALWAYS, compared, appendfsync="always")
        self._enter(ALWAYS, always, chats[compared])
        self._enter(CHECK_IN_ALWAYS, always, check_ins)

    def add_floors(self, chat: Workload, body_bytes: int) -> None:
        """Start the bare handler on both loops, and the sink."""
        for key, arguments in (
            (FLOOR, ("bench.servers.floor", "--body-bytes", str(body_bytes))),
            (FLOOR_UVLOOP, ("bench.servers.floor", "--body-bytes", str(body_bytes), "--loop", "uvloop")),
            (SINK, ("bench.servers.sink",)),
        ):
            self._enter(key, Server(self._rival(key, *arguments)), chat, checked=False)

    def add_rivals(self, chat: Workload) -> None:
        """Start wechatpy with a Redis like the product's, and WeRoBot where it is installed."""
        compared = self.sizes.compared_rules
        store = self.stack.enter_context(EmbeddedRedis.start(self.folder / WECHATPY))
        pin(store.pid, self.cores.load)
        arguments = ("bench.servers.wechatpy_way", "--redis", store.url, "--rules", str(compared))
        state = self._state(store.url, "day:*")
        server = Server(self._rival(WECHATPY, *arguments), state, store.pid)
        self._enter(WECHATPY, server, chat)
        self._enter(WECHATPY_SHARED, server, chat, store_core=self.cores.server)
        absent = [name for name in ("werobot", "tornado") if find_spec(name) is None]
        if absent:
            self.missing[WEROBOT] = f"{' and '.join(absent)} not installed"
            return
        process = self._rival(WEROBOT, "bench.servers.werobot_way", "--rules", str(compared))
        rules, sizes = make_rules(compared), self.sizes
        letters = make_chat(WECHAT, rules, min(2_000, sizes.callbacks), sizes.members)
        self._enter(WEROBOT, Server(process), letters)

    def in_turn(self) -> list[Entry]:
        """Return every entry in the order of a turn; the floor stands beside what is compared with it."""
        counts, compared = self.sizes.rule_counts, self.sizes.compared_rules
        order = [FLOOR_UVLOOP, *(rules_key(count) for count in counts if count < compared)]
        order += [FLOOR, *(rules_key(count) for count in counts if count >= compared)]
        order += [AI_BOT, SHARED, ALWAYS, CHECK_IN, CHECK_IN_ALWAYS, WECHATPY, WECHATPY_SHARED, WEROBOT, SINK]
        return [self.entries[key] for key in order if key in self.entries]

    def weigh_again(self) -> None:
        """Note what the processes hold after the load."""
        for key, weights in self.weights.items():
            weights.loaded = self.entries[key].server.process.memory()

    def _enter(
        self, key: str, server: Server, workload: Workload, *, store_core: int = -1, checked: bool = True
    ) -> None:
        core = self.cores.load if store_core < 0 else store_core
        self.entries[key] = Entry(key, server, workload, core, checked)

    def _product(self, key: str, rules: int, appendfsync: str = "everysec") -> Server:
        folder = self.folder / key
        prepare(
            folder, make_rules(rules), appendfsync=appendfsync, vendor=f"http://127.0.0.1:{self.vendor_port}"
        )
        product = Product.start(folder, self.cores)
        self.stack.callback(product.stop)
        self.products[key] = product
        self.weights[key] = Weights(product.process.memory())
        product.process.pause()
        return Server(product.process, self._state(product.redis_url, COUNTED), product.store_pid)

    @property
    def vendor_port(self) -> int:
        """Where the vendor listens that accepts everything; it is started when it is first asked for."""
        if self.vendor is None:
            arguments = ("-m", "bench.servers.vendor")
            self.vendor = ServerProcess.start(arguments, self.cores.load, self.folder / "vendor.log")
            self.stack.callback(self.vendor.stop)
        return self.vendor.port

    def _rival(self, key: str, module: str, *arguments: str) -> ServerProcess:
        process = ServerProcess.start(
            ("-m", module, *arguments), self.cores.server, self.folder / f"{key}.log"
        )
        self.stack.callback(process.stop)
        warm_up(process.port)
        if key != SINK:
            self.weights[key] = Weights(process.memory())
        process.pause()
        return process

    def _state(self, url: str, counted: str) -> LiveState:
        state = LiveState(url, counted)
        self.stack.callback(state.close)
        return state


def make_workloads(sizes: Sizes) -> tuple[dict[int, Workload], Workload]:
    """Return chat lines per number of rules, and check-ins."""
    chats = {
        count: make_chat(WECOM, make_rules(count), sizes.callbacks, sizes.members)
        for count in sizes.rule_counts
    }
    return chats, make_check_ins(WECOM, sizes.callbacks)
