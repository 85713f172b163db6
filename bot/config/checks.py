"""What must fit together across the configuration: names, references, the sandbox.

These checks read the raw tree, so that they speak even while single values are wrong. What is not of
the expected shape they pass over: the models report it.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from typing import Final

from bot.config.models import CHANNEL_KINDS, CHANNEL_NAME, Server
from bot.config.values import did_you_mean, nearest
from bot.yaml_tree import Broken, Document, Finding, KeyPath, Tree

_TRUE: Final = {"1", "on", "t", "true", "y", "yes"}  # pydantic's words for it
_SURE: Final = 0.8  # similarity at which a misspelt kind is taken for the one it resembles


def check_whole(document: Document) -> list[Finding]:
    """Return what does not fit together in `document`.

    A misspelt channel kind is put right in the tree, so that the rest of the channel can be checked too.
    """
    root = document.tree if isinstance(document.tree, dict) else {}
    channels, communities = _items(root.get("channels")), _items(root.get("communities"))
    # Names are suggested to people: only what can be a name is shown, not any value that stands there.
    names = {name for channel in channels if CHANNEL_NAME.fullmatch(name := _text(channel, "name"))}
    all_named = not any(isinstance(channel.get("name"), Broken) for channel in channels)
    return [
        Finding(path, document.line_of(path), problem, cure)
        for path, problem, cure in (
            *_check_kinds(channels),
            *_check_unique(document, ("channels",), channels, "name"),
            *_check_unique(document, ("communities",), communities, "id"),
            *(_check_references(communities, names) if all_named else ()),
            *_check_owners(document, communities),
            *_check_lone_channels(communities, names),
            *_check_unique_plugins(root),
            *_check_sandbox(root),
        )
    ]


_Raw = tuple[KeyPath, str, str]


def _items(tree: Tree) -> Sequence[dict[str, Tree]]:
    """Return the items of a list of mappings; an empty mapping for each that is something else."""
    if not isinstance(tree, list):
        return []
    return [item if isinstance(item, dict) else {} for item in tree]


def _texts(tree: Tree) -> Sequence[str]:
    """Return the items of a list of texts; empty for each that is something else."""
    if not isinstance(tree, list):
        return []
    return [item if isinstance(item, str) else "" for item in tree]


def _text(section: dict[str, Tree], key: str) -> str:
    value = section.get(key)
    return value if isinstance(value, str) else ""


def _check_kinds(channels: Sequence[dict[str, Tree]]) -> Iterator[_Raw]:
    for index, channel in enumerate(channels):
        kind = _text(channel, "kind")
        if not isinstance(channel.get("kind"), str) or kind in CHANNEL_KINDS:
            continue
        match = nearest(kind, CHANNEL_KINDS)
        guess = f"; did you mean {match}?" if match else ""
        yield (
            ("channels", index, "kind"),
            "is not a known kind of channel",
            f"valid: {', '.join(CHANNEL_KINDS)}{guess}",
        )
        if sure := nearest(kind, CHANNEL_KINDS, cutoff=_SURE):
            channel["kind"] = sure


def _check_unique(
    document: Document, path: KeyPath, items: Sequence[dict[str, Tree]], key: str
) -> Iterator[_Raw]:
    first: dict[str, int] = {}
    for index, item in enumerate(items):
        value = _text(item, key)
        if value and first.setdefault(value, index) != index:
            other = (*path, first[value], key)
            yield (
                (*path, index, key),
                f"is taken by line {document.line_of(other)}",
                f"give every item of {path[0]} its own {key}",
            )


def _check_references(communities: Sequence[dict[str, Tree]], names: set[str]) -> Iterator[_Raw]:
    for index, community in enumerate(communities):
        path: KeyPath = ("communities", index)
        yield from _unknown([(*path, "channels")], _texts(community.get("channels")), names)
        for position, group in enumerate(_items(community.get("groups"))):
            channel = _text(group, "channel")
            if channel and channel not in names:
                yield (
                    (*path, "groups", position, "channel"),
                    "names an unknown channel",
                    did_you_mean(channel, names),
                )
        for role in ("managers", "staff"):
            members = _texts(community.get(role))
            yield from _unknown([(*path, role)], [_channel_of(member) for member in members], names)
        if not community.get("channels") and not community.get("groups") and "id" in community:
            yield path, "has neither channels nor groups", "name at least one"


def _channel_of(member: str) -> str:
    return member.partition(":")[0] if ":" in member else ""


def _unknown(paths: Sequence[KeyPath], channels: Sequence[str], names: set[str]) -> Iterator[_Raw]:
    for path in paths:
        for position, channel in enumerate(channels):
            if channel and channel not in names:
                yield (*path, position), "names an unknown channel", did_you_mean(channel, names)


def _check_owners(document: Document, communities: Sequence[dict[str, Tree]]) -> Iterator[_Raw]:
    """Each whole channel and each group may belong to one community only."""
    owners: dict[tuple[str, ...], KeyPath] = {}
    for index, community in enumerate(communities):
        claims: list[tuple[tuple[str, ...], KeyPath]] = [
            ((channel,), ("communities", index, "channels", position))
            for position, channel in enumerate(_texts(community.get("channels")))
            if channel
        ]
        claims += [
            ((_text(group, "channel"), _text(group, "chat_id")), ("communities", index, "groups", position))
            for position, group in enumerate(_items(community.get("groups")))
            if _text(group, "channel") and _text(group, "chat_id")
        ]
        for claim, path in claims:
            other = owners.setdefault(claim, path)
            if other == path:
                continue
            what = "channel" if len(claim) == 1 else "group"
            problem = f"this {what} is taken by communities[{other[1]}], line {document.line_of(other)}"
            cure = "keep it in one of them"
            if what == "channel":
                cure += ", or share the channel by groups: [{channel, chat_id}]"
            yield path, problem, cure


def _check_lone_channels(communities: Sequence[dict[str, Tree]], names: set[str]) -> Iterator[_Raw]:
    """A channel in no community is one itself, under its own name: no other may have that id."""
    owned = {channel for community in communities for channel in _texts(community.get("channels"))}
    for index, community in enumerate(communities):
        if _text(community, "id") in names - owned:
            yield (
                ("communities", index, "id"),
                "is the name of a channel in no community, which is a community of that id itself",
                "choose another id, or list the channel in a community",
            )


def _check_unique_plugins(root: dict[str, Tree]) -> Iterator[_Raw]:
    plugins = _texts(root.get("plugins"))
    for position, plugin in enumerate(plugins):
        if plugin and plugin in plugins[:position]:
            yield ("plugins", position), "is there twice", "keep one"


def _check_sandbox(root: dict[str, Tree]) -> Iterator[_Raw]:
    sandbox, server = root.get("sandbox"), root.get("server")
    if not isinstance(sandbox, dict):
        return
    host: Tree = Server.model_fields["host"].default
    if isinstance(server, dict) and server.get("host") is not None:
        host = server["host"]
    enabled, allowed = (_text(sandbox, key).lower() in _TRUE for key in ("enabled", "allow_remote"))
    if enabled and not allowed and isinstance(host, str) and not _is_loopback(host):
        yield (
            ("sandbox", "enabled"),
            "the sandbox lets anybody speak as any member, and server.host is not a loopback address",
            "set server.host to 127.0.0.1, or sandbox.allow_remote to true",
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
