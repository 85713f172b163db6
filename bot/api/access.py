"""Who may do what: bearer tokens, roles, communities, and a brake on guessing.

A token is looked up at every request, so revoking one works at once. Where nothing matches, the address it
came from is counted in a fixed window of one minute, in the memory of this process. Above the limit only
tokens that were right a while ago are looked up for that address; so those who share a proxy with somebody
who guesses are still served.
Dies here: counts start anew. SQL away: nobody is let in (503).
"""

from __future__ import annotations

from hashlib import sha256

from aiohttp import web

from bot.api.endpoint import Caller, Role
from bot.api.parts import ApiParts
from bot.api.problem import ProblemError
from bot.clock import Clock
from bot.model import Community
from bot.storage.sql.api_tokens import PREFIX, ApiTokenStore

_WINDOW_MS = 60_000
_MOST_FAILURES = 100
_MOST_ADDRESSES = 10_000
_MOST_KNOWN = 1_000
_REALM = 'Bearer realm="huoqun"'


class Throttle:
    """Counts wrong tokens per peer address."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._window = 0
        self._failures: dict[str, int] = {}

    def failed(self, address: str) -> None:
        """Count one wrong token; when very many addresses guess, the further ones share a count."""
        self._turn()
        if address not in self._failures and len(self._failures) >= _MOST_ADDRESSES:
            address = ""
        self._failures[address] = self._failures.get(address, 0) + 1

    def wait_s(self, address: str) -> int:
        """Return for how many seconds the address has to wait, 0 when it need not."""
        self._turn()
        if address not in self._failures and len(self._failures) >= _MOST_ADDRESSES:
            address = ""
        if self._failures.get(address, 0) < _MOST_FAILURES:
            return 0
        return -(-(_WINDOW_MS - self._clock.now_ms() % _WINDOW_MS) // 1000)

    def _turn(self) -> None:
        window = self._clock.now_ms() // _WINDOW_MS
        if window != self._window:
            self._window, self._failures = window, {}


class Gate:
    """Lets callers in."""

    def __init__(self, tokens: ApiTokenStore, clock: Clock) -> None:
        self._tokens = tokens
        self._throttle = Throttle(clock)
        self._known: dict[bytes, None] = {}  # digests of tokens that were right, the oldest first

    async def caller(self, request: web.Request) -> Caller:
        """Return who asks.

        Raises:
            ProblemError: 401 without a token in force, 429 after too many wrong ones.
            StoreUnavailableError: SQL is away.
        """
        scheme, _, plaintext = request.headers.get("Authorization", "").partition(" ")
        plaintext = plaintext.strip()
        if scheme.lower() != "bearer" or not plaintext:
            raise ProblemError(
                "unauthorized",
                "send `Authorization: Bearer <token>`; `run.py token create` makes a token",
                headers={"WWW-Authenticate": _REALM},
            )
        address = request.remote or ""
        digest = sha256(plaintext.encode(errors="surrogatepass")).digest()
        if digest not in self._known and (wait_s := self._throttle.wait_s(address)):
            raise ProblemError(
                "too_many_attempts",
                f"wait {wait_s} s, then send a token in force",
                headers={"Retry-After": str(wait_s)},
            )
        token = await self._tokens.find(plaintext) if plaintext.startswith(PREFIX) else None
        if token is None:
            self._known.pop(digest, None)
            self._throttle.failed(address)
            raise ProblemError(
                "unauthorized",
                "this token is unknown or revoked; `run.py token create` makes another",
                headers={"WWW-Authenticate": f'{_REALM}, error="invalid_token"'},
            )
        self._remember(digest)
        return Caller(token.name, Role[token.role.upper()], token.community)

    def _remember(self, digest: bytes) -> None:
        self._known.setdefault(digest)
        if len(self._known) > _MOST_KNOWN:
            del self._known[next(iter(self._known))]


def check_role(caller: Caller, least: Role) -> None:
    """Refuse (403) a token whose role is below `least`."""
    if caller.role < least:
        raise ProblemError(
            "forbidden",
            f"the token's role is {caller.role.name.lower()}; this needs {least.name.lower()}",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'},
        )


def check_community(caller: Caller, community_id: str) -> None:
    """Refuse (403) a token of another community, whether or not that community exists."""
    if not caller.may_see(community_id):
        raise ProblemError(
            "forbidden",
            f"the token is for community {caller.community} alone",
            headers={"WWW-Authenticate": f'{_REALM}, error="insufficient_scope"'},
        )


def check_exists(community: Community | None, community_id: str) -> Community:
    """Return the community, or refuse (404)."""
    if community is None:
        raise ProblemError("not_found", f"there is no community {community_id!r}; `communities` lists all")
    return community


def communities_of(parts: ApiParts, channel: str, caller: Caller) -> list[str]:
    """Return the ids of the channel's communities that the caller may see."""
    return [
        community.id for community in parts.communities.of_channel(channel) if caller.may_see(community.id)
    ]
