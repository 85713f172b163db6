"""Tells of rounds: what is known of an end, who must hear of it, and what is said at a beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from bot.answer_ids import follow_up_id
from bot.catalog import Catalog
from bot.model import Community, FollowUp, Text
from bot.rounds.play import Announcing, Game, Telling, Values
from bot.rounds.replays import Replay
from bot.storage.redis.deliveries import Delivery
from bot.storage.redis.members import Members
from bot.storage.redis.rounds import Paid, PlayedMove, Round

_MOST_TOLD = 200  # persons who are told of the end of a community's round
_MOST_NAMED = 300


class RoundTeller:
    """Finds names and texts, and makes the messages."""

    def __init__(
        self,
        members: Members,
        catalog: Catalog,
        compose: Callable[[FollowUp, int], Delivery],
        call: Callable[[str, str], str],
        page_of: Callable[[Round], str],
    ) -> None:
        """Tell in the texts of `catalog`.

        `compose` makes the delivery of a message; `call` says of a name and a member id how a member is
        called; `page_of` says where anybody can look at a round, empty for nowhere.
        """
        self._members = members
        self._catalog = catalog
        self._compose = compose
        self._call = call
        self._page_of = page_of

    def announcement(self, community: Community, game: Game, one: Round) -> str:
        """Return what is said in a group of a round that nobody there has begun; empty for nothing."""
        if game.announce is None:
            return ""
        return game.announce(Announcing(community, one, self._text_of(community, one)))

    async def telling(
        self, community: Community, replay: Replay, after: Round, facts: Values, awards: Sequence[Paid]
    ) -> Telling:
        """Return what is known when an end is told: `after` is the round after it."""
        members = dict.fromkeys(award.member for award in awards)
        members.update(dict.fromkeys(move.member for move in replay.moves[:_MOST_NAMED]))
        if ":" in after.host:
            members[after.host] = None
        found = await self._members.names(community.id, list(members)) if members else {}
        names = {member: self._call(name, member) for member, name in found.items()}
        return Telling(
            community=community,
            round=after,
            state=replay.state,
            facts=facts,
            awards=awards,
            moves=tuple(replay.moves),
            names=names,
            page=self._page_of(after),
            text=self._text_of(community, after),
        )

    def _text_of(self, community: Community, one: Round) -> Callable[..., str]:
        return lambda key, **values: self._catalog.text(community.language, key, pick_by=one.id, **values)

    def messages(
        self,
        played: Round,
        moves: Sequence[PlayedMove],
        awards: Sequence[Paid],
        told: str,
        teller: str,
        now_ms: int,
    ) -> list[Delivery]:
        """Return who must be told of an end by a message of its own.

        In a group that is the group, unless somebody's answer there says it. A round of direct chats tells
        its host, those who get something at the end, and the others who played.
        """
        if not told or (played.group_id and teller):
            return []
        if played.group_id:
            return [self._message(played, told, played.channel, now_ms)]
        persons = dict.fromkeys([played.host] if played.user_id else [])
        persons.update(dict.fromkeys(award.member for award in awards))
        persons.update(dict.fromkeys(move.member for move in moves))
        persons.pop(teller, None)
        by_channel: dict[str, Delivery] = {}  # all persons of a channel are told the same, made once
        messages = []
        for member in list(persons)[:_MOST_TOLD]:
            channel, _, user_id = member.partition(":")
            if channel not in by_channel:
                by_channel[channel] = self._message(played, told, channel, now_ms)
            id_ = follow_up_id(played.community, f"round:{played.id}:{channel}:{user_id}")
            messages.append(replace(by_channel[channel], id=id_, user_id=user_id, member=member))
        return messages

    def _message(self, played: Round, told: str, channel: str, now_ms: int) -> Delivery:
        """Return the message to the round's group, or to nobody yet for one of direct chats."""
        return self._compose(
            FollowUp(
                name=f"round:{played.id}:{channel}:{played.group_id}",
                community=played.community,
                cause=f"round:{played.id}",
                channel=channel,
                parts=(Text(told),),
                group_id=played.group_id,
                answer_to=played.answer_to if played.group_id else "",
            ),
            now_ms,
        )
