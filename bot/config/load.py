"""Load a configuration file, or say everything that is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import ValidationError

from bot.config.checks import check_whole
from bot.config.faults import model_findings, to_faults
from bot.config.models import CheckIn, CommunitySection, Config, Decency, Games
from bot.config.values import OutsideValues, with_marked_references
from bot.errors import ConfigError, Fault
from bot.model import CheckInRules, Community, DecencyRules, GameRules, WelcomeTexts
from bot.yaml_tree import Document, Finding, KeyPath, read_yaml


def load_config(path: Path, environ: Mapping[str, str]) -> Config:
    """Load the configuration file at `path`, with variables from `environ`.

    `!file` paths and `storage.data_dir` are relative to the directory of `path`.

    Raises:
        ConfigError: Something is wrong; it carries all faults at once, none of which quotes a value.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
        fault = Fault(f"{path}:1", "(file)", problem, "name another file with --config")
        raise ConfigError([fault]) from None
    document = read_yaml(with_marked_references(data), OutsideValues(path.parent, environ))
    config, findings = _read(document)
    if config is None or findings:
        raise ConfigError(to_faults(findings, document, str(path)))
    data_dir = (path.parent / config.storage.data_dir).absolute()
    return config.model_copy(update={"storage": config.storage.model_copy(update={"data_dir": data_dir})})


def place_in_file(path: Path, key: KeyPath) -> str:
    """Return ``file:line`` of a key, for a fault that shows only after the file was loaded."""
    document = read_yaml(with_marked_references(path.read_bytes()), OutsideValues(path.parent, {}))
    return f"{path}:{document.line_of(key)}"


def _read(document: Document) -> tuple[Config | None, list[Finding]]:
    """Return the configuration, if every single value is right, and all that is wrong."""
    findings = [*document.findings, *check_whole(document)]
    tree = {} if document.tree is None else document.tree
    try:
        return Config.model_validate(tree), findings
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
    return None, [*findings, *model_findings(errors, document)]


def resolve_communities(config: Config) -> tuple[Community, ...]:
    """Return the communities of `config`, with the defaults of `locale` and `check_in` filled in.

    A channel that no community lists whole is a community of its own, with the channel's name as id;
    where some of its groups belong elsewhere, it holds the others and the direct chats.
    """
    described = [_resolved(section, config) for section in config.communities]
    owned = {channel for community in described for channel in community.channels}
    lone = [
        _resolved(CommunitySection(id=channel.name, channels=(channel.name,)), config)
        for channel in config.channels
        if channel.name not in owned
    ]
    return (*described, *lone)


def _resolved(section: CommunitySection, config: Config) -> Community:
    return Community(
        id=section.id,
        name=section.name or section.id,
        channels=section.channels,
        zone=ZoneInfo(section.time_zone or config.locale.time_zone),
        groups=tuple((group.channel, group.chat_id) for group in section.groups),
        day_start=section.day_start,
        managers=frozenset(section.managers),
        language=section.language or config.locale.language,
        check_in=_rules(section.check_in or config.check_in),
        decency=_decency(section.decency or config.decency),
        games=_games(section.games or config.games),
        welcome=WelcomeTexts(first=section.welcome.first, returning=section.welcome.returning),
    )


def _rules(check_in: CheckIn) -> CheckInRules:
    return CheckInRules(
        points=check_in.points,
        milestones=tuple(sorted(check_in.milestones.items())),
        make_up_cost=check_in.make_up.cost,
        make_up_days_back=check_in.make_up.days_back,
        make_up_per_month=check_in.make_up.per_month,
    )


def _decency(decency: Decency) -> DecencyRules:
    return DecencyRules(
        quiet_hours=decency.quiet_hours,
        member_per_day=decency.member_per_day,
        group_per_day=decency.group_per_day,
    )


def _games(games: Games) -> GameRules:
    return GameRules(
        budget_per_day=games.budget_per_day,
        stakes=games.stakes,
        staked_per_day=games.staked_per_day,
        from_members=games.from_members,
        off=frozenset(games.off),
        off_in=frozenset((group.channel, group.chat_id) for group in games.off_in),
        own={name: terms.model_dump(exclude_none=True) for name, terms in games.own.items()},
    )
