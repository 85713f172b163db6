"""``/rounds/<community>/<round>``: a page for anybody who wants to know whether a round was fair.

It needs no login and names nobody: players stand there with their marks. While a round is open the page shows
what was committed to and counts, nothing that helps to play. A proof costs as much as the round has moves, so
one is computed at a time in a process, and kept for a minute.

Dies here: nothing is kept that is not computed again. A store is away: 503, come back.
"""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import tzinfo
from html import escape
from importlib.resources import files
from string import Template
from typing import Any, Final

import structlog
from aiohttp import web

from bot.catalog import Catalog
from bot.clock import from_ms
from bot.communities import Communities
from bot.errors import StoreError
from bot.rounds.proof import PROBLEM_VALUES, Problem, Proof
from bot.rounds.records import RoundRecords
from bot.storage.redis.rounds import RoundState

_ROWS: Final = 1000  # of a list on one page
_KEPT_S, _KEPT, _MOST_KEPT_MOVES = 60.0, 32, 5000
_RETRY_AFTER_S = "5"
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Robots-Tag": "noindex",
    "Cache-Control": "no-cache",
}
_FILES = {"round.css": "text/css", "round.js": "text/javascript"}
_WORDS = (
    *(f"proof.is_{state}" for state in RoundState),
    *(f"proof.by_{end}" for end in ("over", "time", "stopped", "cancelled")),
    *(
        f"proof.{word}"
        for word in (
            "agrees", "disagrees", "title", "ends", "ended", "seats_left", "player", "number", "played",
            "stake", "at", "why", "got", "none", "before", "after", "unknown", "unknown_cure", "away",
            "away_cure",
        )
    ),
)  # fmt: skip

_log = structlog.get_logger("huoqun")


@dataclass(frozen=True, slots=True)
class _Kept:
    """A proof, and until when it is shown as it is, by the loop's clock."""

    proof: Proof
    until_s: float


class RoundPages:
    """The pages of all communities."""

    def __init__(
        self,
        records: RoundRecords,
        communities: Communities,
        catalog: Catalog,
        called: Mapping[str, str],
    ) -> None:
        """Read the files of the page once; `called` says how each game is called.

        Raises:
            ConfigError: A text is missing.
        """
        catalog.require({f"proof.{word}": values for word, values in PROBLEM_VALUES.items()})
        catalog.require(dict.fromkeys(_WORDS, ("game",)))
        self._records = records
        self._called = called
        self._communities = communities
        self._catalog = catalog
        package = files("bot.proofs")
        self._templates = {
            name: Template((package / "templates" / f"{name}.html").read_text(encoding="utf-8"))
            for name in ("round", "ended", "note")
        }
        self._files = {name: (package / "static" / name).read_bytes() for name in _FILES}
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._one_at_a_time = asyncio.Lock()

    def add_routes(self, app: web.Application) -> None:
        """Add the addresses; those of the files have one part less than any round."""
        for name in _FILES:
            app.router.add_get(f"/rounds/{name}", self.file)
        app.router.add_get("/rounds/{community}/{round}", self.show)
        app.router.add_get(r"/rounds{anything:(?:/.*)?}", self.nothing)

    async def file(self, request: web.Request) -> web.Response:
        """Return a file of the page."""
        name = request.path.rpartition("/")[2]
        return web.Response(
            body=self._files[name], content_type=_FILES[name], charset="utf-8", headers=_HEADERS
        )

    async def nothing(self, _: web.Request) -> web.Response:
        """Say that there is no such page."""
        return self._note(404, "proof.unknown", "proof.unknown_cure")

    async def show(self, request: web.Request) -> web.Response:
        """Return the page of a round."""
        community = self._communities.get(request.match_info["community"])
        if community is None:
            return await self.nothing(request)
        try:
            proof = await self._proof(community.id, request.match_info["round"])
        except StoreError as error:
            await _log.awarning("page of a round not shown, a store is away", error=str(error))
            return self._note(503, "proof.away", "proof.away_cure", {"Retry-After": _RETRY_AFTER_S})
        if proof is None:
            return await self.nothing(request)
        return _page(self._round(proof, community.zone, _first_row(request.query.get("from", ""))))

    # ------------------------------------------------------------ what is known

    async def _proof(self, community: str, round_id: str) -> Proof | None:
        """Return a proof, an open round's anew, an ended one's as it was up to a minute ago."""
        known = await self._records.get(community, round_id)
        if known is None or known.round.is_open:
            return None if known is None else Proof(known.round, known.moves)
        async with self._one_at_a_time:
            now_s, key = asyncio.get_running_loop().time(), (community, round_id)
            kept = self._kept.get(key)
            if kept is not None and now_s < kept.until_s:
                return kept.proof
            proof = await self._records.proof(community, round_id)
            if proof is not None and not proof.round.is_open and len(proof.moves) <= _MOST_KEPT_MOVES:
                self._kept[key] = _Kept(proof, now_s + _KEPT_S)
                self._kept.move_to_end(key)
                if len(self._kept) > _KEPT:
                    self._kept.popitem(last=False)
            return proof

    # ------------------------------------------------------------ what is shown

    def _round(self, proof: Proof, zone: tzinfo, first: int) -> str:
        one = proof.round
        game = self._called.get(one.game, one.game)
        ended = "" if one.is_open else self._ended(proof, zone, first)
        left = f"<div><dt>{self._both('proof.seats_left')}</dt><dd>{len(one.seats) - proof.count}</dd></div>"
        return self._templates["round"].substitute(
            title=escape(self._catalog.text("zh-CN", "proof.title", game=game)),
            heading=self._both("proof.title", game=game),
            round=escape(one.id),
            seed="" if one.is_open else escape(one.seed),
            commitment=escape(one.commitment),
            state=self._state(proof),
            opened=_instant(one.at_ms, zone),
            ends_name=self._both("proof.ends" if one.is_open else "proof.ended"),
            ends=_instant(one.ends_at_ms if one.is_open else one.ended_at_ms, zone),
            moves=proof.count,
            seats_left=left if one.seats else "",
            ended=ended,
        )

    def _ended(self, proof: Proof, zone: tzinfo, first: int) -> str:
        one = proof.round
        moves = proof.moves[first : first + _ROWS]
        rows = [
            (
                proof.marks.get(move.member, ""),
                str(move.number),
                move.said,
                str(move.stake),
                _instant(move.at_ms, zone),
            )
            for move in moves
        ]
        awards = [
            (proof.marks.get(award.member, ""), award.why, str(award.points))
            for award in proof.awards[first : first + _ROWS]
        ]
        more = self._more(first, max(len(proof.moves), len(proof.awards)))
        return self._templates["ended"].substitute(
            round=escape(one.id),
            seed=escape(one.seed),
            outcome=self._outcome(proof.problems),
            pot=one.pot,
            staked=one.staked,
            house=one.house,
            paid=one.paid,
            refund=one.refund,
            moves_table=self._table(("number", "played", "stake", "at"), rows) + more,
            awards_table=self._table(("why", "got"), awards) + more,
            settings=escape(json.dumps(json.loads(one.settings), ensure_ascii=False, indent=2)),
        )

    def _state(self, proof: Proof) -> str:
        state = self._both(f"proof.is_{proof.round.state.value}")
        return f"{state} · {self._both(f'proof.by_{proof.round.end}')}" if proof.round.end else state

    def _outcome(self, problems: Sequence[Problem]) -> str:
        if not problems:
            return f'<p class="good">✓ {self._both("proof.agrees")}</p>'
        found = "".join(f"<li>{self._both(f'proof.{one.word}', **one.values)}</li>" for one in problems)
        return f'<p class="bad">✗ {self._both("proof.disagrees")}</p><ul>{found}</ul>'

    def _table(self, names: Iterable[str], rows: Sequence[tuple[str, ...]]) -> str:
        """Return a table whose rows begin with the mark of a player."""
        if not rows:
            return f"<p>{self._both('proof.none')}</p>"
        heads = "".join(f'<th scope="col">{self._both(f"proof.{name}")}</th>' for name in ("player", *names))
        lines = "".join(
            f'<tr data-mark="{escape(mark)}"><td><code>{escape(mark)}</code></td>'
            + "".join(f"<td>{escape(cell)}</td>" for cell in cells)
            + "</tr>\n"
            for mark, *cells in rows
        )
        return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>'

    def _more(self, first: int, count: int) -> str:
        """Return the links to the rows before and after."""
        links = []
        if first:
            links.append(f'<a href="?from={max(0, first - _ROWS)}">{self._both("proof.before")}</a>')
        if first + _ROWS < count:
            links.append(f'<a href="?from={first + _ROWS}">{self._both("proof.after")}</a>')
        return f"<p>{' · '.join(links)}</p>" if links else ""

    def _both(self, key: str, **values: Any) -> str:
        """Return a text in Chinese with English beside it."""
        chinese, english = (self._catalog.text(language, key, **values) for language in ("zh-CN", "en"))
        return f'{escape(chinese)} <small lang="en">{escape(english)}</small>'

    def _note(
        self, status: int, title: str, text: str, headers: dict[str, str] | None = None
    ) -> web.Response:
        """Return a page of one sentence; `title` and `text` are keys."""
        body = self._templates["note"].substitute(
            title=escape(self._catalog.text("zh-CN", title)), heading=self._both(title), text=self._both(text)
        )
        return _page(body, status, headers)


def _page(body: str, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(
        text=body,
        status=status,
        content_type="text/html",
        charset="utf-8",
        headers={**_HEADERS, **(headers or {})},
    )


def _first_row(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


def _instant(at_ms: int, zone: tzinfo) -> str:
    return from_ms(at_ms).astimezone(zone).isoformat(" ", timespec="seconds")
