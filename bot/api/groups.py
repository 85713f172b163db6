"""``groups``: the chat groups of a community; those a WeCom app makes itself are made and changed here."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Annotated, Any

import orjson
from pydantic import Field

from bot.api.claims import claim
from bot.api.cursors import known_cursor
from bot.api.endpoint import Answer, Call, Endpoint, Form, Listed, ListQuery, Query, Role, Shown
from bot.api.ledger import RequestId
from bot.api.parts import ApiParts
from bot.api.problem import Flaw, ProblemError, invalid
from bot.api.times import Instant, rfc3339
from bot.delivery.appchat import MOST_MEMBERS, NAME_CHARACTERS, AppChat, AppChats, check_chat, check_name
from bot.delivery.errcodes import explain, reason_of
from bot.errors import PlatformApiError, PlatformUnreachableError
from bot.model import Community
from bot.storage.sql.chat_groups import MADE, ChatGroup, ChatGroupStore

UserId = Annotated[str, Field(pattern=r"^[!-~]{1,64}$", description="As the platform names people.")]
UserIds = Annotated[list[UserId], Field(max_length=MOST_MEMBERS)]


class GroupsQuery(ListQuery):
    """Filters of the list."""

    channel: Annotated[str | None, Field(max_length=32, description="Name of a channel.")] = None


class GroupShown(Shown):
    """A chat group."""

    id: Annotated[str, Field(description="`<channel>:<chat_id>`.")]
    channel: str
    chat_id: Annotated[str, Field(description="As the platform names it.")]
    name: Annotated[str | None, Field(description="Null where the platform does not tell it.")]
    origin: Annotated[str, Field(description="seen (an event came from it) or made (through this API).")]
    first_seen: Instant
    last_seen: Instant


class GroupList(Listed[GroupShown]):
    """Groups by channel and chat id."""


class GroupDetail(GroupShown):
    """A chat group with its people, as far as the platform tells them."""

    owner: Annotated[str | None, Field(description="User id; null where the platform does not tell it.")]
    members: Annotated[list[str] | None, Field(description="User ids; null where it does not tell them.")]


class GroupForm(Form):
    """An order to make a group of a WeCom app (应用群聊)."""

    channel: Annotated[str, Field(max_length=32, description="A wecom_app channel with a secret.")]
    name: Annotated[str, Field(max_length=200, description=f"1 to {NAME_CHARACTERS} characters.")]
    owner: UserId
    members: UserIds
    chat_id: Annotated[
        str,
        Field(
            max_length=200,
            description="1 to 32 letters and digits; empty: made from request_id. The group that has it "
            "already is returned unchanged.",
        ),
    ] = ""
    request_id: RequestId


class GroupChange(Form):
    """What is to change; what is left out stays."""

    name: Annotated[str | None, Field(max_length=200, description=f"1 to {NAME_CHARACTERS} characters.")] = (
        None
    )
    owner: UserId | None = None
    add: Annotated[UserIds, Field(default_factory=list, description="User ids of employees who come in.")]
    remove: Annotated[UserIds, Field(default_factory=list, description="User ids of members who go.")]


# ---------------------------------------------------------------- acts


async def list_groups(call: Call[GroupsQuery, None]) -> GroupList:
    """List the groups of a community, by channel and chat id."""
    parts, community, query = call.parts, call.community, call.query
    await parts.stores.drain.flush(community.id)
    with known_cursor():
        page = await ChatGroupStore(parts.database).page(
            community.id, channel=query.channel, cursor=query.cursor, limit=query.limit
        )
    items = [GroupShown(**_fields(community, group)) for group in page.items]
    return GroupList(items=items, next_cursor=page.next_cursor)


async def get_group(call: Call[Query, None]) -> GroupDetail:
    """Return one group; of one that we made, with its people as the platform knows them now."""
    group = await _find(call)
    chats = call.parts.app_chats.get(group.channel)
    if group.origin != MADE or chats is None:
        return _detail(call.community, group, None)
    return _detail(call.community, group, await _asked(_Live(chats, group.chat_id)))


async def create_group(call: Call[Query, GroupForm]) -> Answer:
    """Make a group, once per request_id.

    Dies here: the same request repeated finds the group at the platform, by the id it was to have.
    """
    parts, community, form = call.parts, call.community, call.body
    chats = _chats(parts, community, form.channel)
    chat_id = form.chat_id or _chat_id(community, form.request_id)
    chat = AppChat(chat_id, form.name, form.owner, tuple(form.members))
    _check(lambda: check_chat(chat))
    content = blake2b(
        orjson.dumps((form.channel, chat_id, chat.name, chat.owner, chat.members)), digest_size=16
    ).hexdigest()
    if await claim(parts, community.id, f"group:{form.request_id}", content) != content:
        raise ProblemError(
            "request_id_reused",
            f"the request_id {form.request_id} stands for another group: choose a new one",
        )
    store = ChatGroupStore(parts.database)
    known = await store.find(form.channel, chat_id)
    if known is not None and known.community != community.id:
        raise ProblemError("group_exists", f"the chat_id {chat_id} is a group of another community")
    live = _Live(chats, chat_id)
    if known is not None and known.origin == MADE:
        return Answer(_detail(community, known, await _asked(live)), 200)
    made = await _asked(live, create=chat)
    await store.made(community.id, form.channel, chat_id, made.name, parts.clock.now_ms())
    group = await store.get(community.id, form.channel, chat_id)
    assert group is not None, "it was written a moment ago"
    return Answer(_detail(community, group, made), 201)


async def change_group(call: Call[Query, GroupChange]) -> GroupDetail:
    """Change name, owner or members of a group that we made; repeated, it changes nothing more."""
    parts, community, change = call.parts, call.community, call.body
    group = await _find(call)
    chats = parts.app_chats.get(group.channel)
    if group.origin != MADE or chats is None:
        raise ProblemError("not_made_here", f"{group.id} was not made here: change it in the chat itself")
    if change.name is not None:
        name = change.name
        _check(lambda: check_name(name))
    both = sorted(set(change.add) & set(change.remove))
    if both:
        cure = f"name {both[0]} in one of the two"
        raise invalid([Flaw(path="remove", problem="names somebody who is to come in", cure=cure)])
    live = await _asked(_Live(chats, group.chat_id), change=change)
    if change.name is not None:
        await ChatGroupStore(parts.database).made(
            community.id, group.channel, group.chat_id, change.name, group.last_seen_ms
        )
    return _detail(community, await _find(call), live)


# ---------------------------------------------------------------- the platform


class _Live:
    """One group at the platform."""

    def __init__(self, chats: AppChats, chat_id: str) -> None:
        self.chats, self.chat_id = chats, chat_id

    async def create(self, chat: AppChat) -> None:
        try:
            await self.chats.create(chat)
        except PlatformApiError:
            # Made by an earlier attempt whose answer was lost; else the refusal stands.
            try:
                await self.chats.get(self.chat_id)
            except PlatformApiError:
                pass
            else:
                return
            raise

    async def change(self, change: GroupChange) -> None:
        if change.name or change.owner or change.add or change.remove:
            await self.chats.update(
                self.chat_id,
                name=change.name or "",
                owner=change.owner or "",
                add=change.add,
                remove=change.remove,
            )


async def _asked(live: _Live, *, create: AppChat | None = None, change: GroupChange | None = None) -> AppChat:
    """Act on a group at the platform where asked to, and return it as it is then; refusals are problems."""
    try:
        if create is not None:
            await live.create(create)
        if change is not None:
            await live.change(change)
        return await live.chats.get(live.chat_id)
    except PlatformApiError as error:
        text = explain("wecom_app", reason_of(error.endpoint, error.errcode))
        raise ProblemError(
            "platform_refused", f"{error.endpoint}: errcode {error.errcode}: {text.cause}; {text.cure}"
        ) from None
    except PlatformUnreachableError as error:
        raise ProblemError(
            "platform_away", f"{error}; repeat the request, with the same request_id"
        ) from None


def _chats(parts: ApiParts, community: Community, channel: str) -> AppChats:
    """Return what makes groups on a channel of the community."""
    own = dict.fromkeys((*community.channels, *(name for name, _ in community.groups)))
    makers = [name for name in own if name in parts.app_chats]
    if channel not in makers:
        names = ", ".join(makers) or "none in this community"
        cure = f"channels that make groups are wecom_app with a secret: {names}"
        raise invalid([Flaw(path="channel", problem="makes no groups for this community", cure=cure)])
    return parts.app_chats[channel]


def _chat_id(community: Community, request_id: str) -> str:
    """Return the id of the group that a request makes: the same however often it is repeated."""
    return blake2b(f"{community.id}\0{request_id}".encode(), digest_size=16).hexdigest()


# ---------------------------------------------------------------- what is shown


def _check(act: Callable[[], None]) -> None:
    try:
        act()
    except ValueError as error:
        field, _, problem = str(error).partition(": ")
        raise invalid([Flaw(path=field, problem=problem, cure="")]) from None


async def _find(call: Call[Query, None] | Call[Query, GroupChange]) -> ChatGroup:
    parts, community, id_ = call.parts, call.community, call.path["group"]
    await parts.stores.drain.flush(community.id)
    channel, _, chat_id = id_.partition(":")
    group = await ChatGroupStore(parts.database).get(community.id, channel, chat_id)
    if group is None:
        raise ProblemError("not_found", f"{community.id} has no group {id_!r}")
    return group


def _detail(community: Community, group: ChatGroup, live: AppChat | None) -> GroupDetail:
    fields = _fields(community, group)
    if live is None:
        return GroupDetail(**fields, owner=None, members=None)
    fields["name"] = live.name or fields["name"]
    return GroupDetail(**fields, owner=live.owner or None, members=list(live.members))


def _fields(community: Community, group: ChatGroup) -> dict[str, Any]:
    return {
        "id": group.id,
        "channel": group.channel,
        "chat_id": group.chat_id,
        "name": group.name or None,
        "origin": group.origin,
        "first_seen": rfc3339(group.first_seen_ms, community.zone),
        "last_seen": rfc3339(group.last_seen_ms, community.zone),
    }


_PLATFORM = ("platform_refused", "platform_away")

ENDPOINTS = (
    Endpoint(
        "GET",
        "/communities/{community}/groups",
        list_groups,
        "List the chat groups of a community, by channel and chat id.",
        query=GroupsQuery,
        answer=GroupList,
    ),
    Endpoint(
        "POST",
        "/communities/{community}/groups",
        create_group,
        "Make a group of a WeCom app, once per request_id.",
        role=Role.MANAGER,
        body=GroupForm,
        answer=GroupDetail,
        status=201,
        also={200: "The group had been made before; nothing was changed."},
        problems=("request_id_reused", "group_exists", *_PLATFORM),
    ),
    Endpoint(
        "GET",
        "/communities/{community}/groups/{group}",
        get_group,
        "Return one group, with its people where the platform tells them.",
        answer=GroupDetail,
        problems=_PLATFORM,
    ),
    Endpoint(
        "PATCH",
        "/communities/{community}/groups/{group}",
        change_group,
        "Change name, owner or members of a group that was made here.",
        role=Role.MANAGER,
        body=GroupChange,
        answer=GroupDetail,
        problems=("not_made_here", *_PLATFORM),
    ),
)
