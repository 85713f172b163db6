"""``keywords/import`` and ``keywords/export``: all rules of a community in and out."""

from __future__ import annotations

import asyncio
from typing import Annotated

import orjson
from aiohttp import web
from pydantic import Field

from bot.api.endpoint import Answer, Call, Endpoint, Query, Role, Shown
from bot.api.keyword_files import CSV_TYPES, JSON_TYPES, YAML_TYPES, rows_of
from bot.api.keyword_forms import KeywordRuleForm, KeywordRuleShown, RuleReader, show_rule
from bot.api.keywords import rule_reader
from bot.api.problem import Flaw, invalid
from bot.model import KeywordRule

IMPORT_BYTES = 32 << 20
_MOST_RULES = 250_000
_MOST_FLAWS = 500
_EXPORTED_AT_ONCE = 500


class Imported(Shown):
    """What an import did."""

    added: Annotated[int, Field(description="Rules added to those that were there.")]


async def import_keywords(call: Call[Query, bytes]) -> Answer:
    """Add the rules of a file, all of them or, when anything is wrong, none."""
    parts, content_type = call.parts, call.request.content_type.lower()
    async with parts.import_slot:  # one at a time: a file of 32 MiB takes several times that in memory
        rules, flaws = await asyncio.to_thread(read_rules, call.body, content_type, rule_reader(parts))
        if flaws:
            raise invalid(flaws)
        added = await parts.stores.keyword_rules.create_many(
            call.community.id, rules, created_by=call.caller.name
        )
    return Answer(Imported(added=added), 201)


def read_rules(data: bytes, content_type: str, reader: RuleReader) -> tuple[list[KeywordRule], list[Flaw]]:
    """Return the rules of a file, and everything wrong with them up to a few hundred things.

    Raises:
        ProblemError: 400, the file as a whole cannot be read.
    """
    rules: list[KeywordRule] = []
    flaws: list[Flaw] = []
    for number, row in enumerate(rows_of(data, content_type)):
        if number == _MOST_RULES:
            flaws.append(Flaw(path="", problem=f"more than {_MOST_RULES} rules", cure="split the file"))
            break
        rule, wrong = reader.read(row.value)
        rules.append(rule)
        line = f"line {row.line}: " if row.line else ""
        for flaw in wrong:
            path = f"[{number}].{flaw.path}" if flaw.path else f"[{number}]"
            flaws.append(Flaw(path=path, problem=f"{line}{flaw.problem}", cure=flaw.cure))
        if len(flaws) >= _MOST_FLAWS:
            flaws.append(
                Flaw(path="", problem="perhaps more; what follows was not read", cure="correct these first")
            )
            break
    return rules, flaws


async def export_keywords(call: Call[Query, None]) -> web.StreamResponse:
    """Stream every rule as one JSON array, which an import takes back."""
    rules = call.parts.stores.keyword_rules
    # Page by page: a slow reader must not hold a connection of the database.
    page = await rules.page(call.community.id, limit=_EXPORTED_AT_ONCE)
    response = web.StreamResponse(headers={"Content-Disposition": 'attachment; filename="keywords.json"'})
    response.content_type = "application/json"
    await response.prepare(call.request)
    begin = b"["
    while True:
        chunk = b",\n".join(orjson.dumps(show_rule(rule).model_dump()) for rule in page.items)
        await response.write(begin + chunk)
        if page.next_cursor is None:
            break
        page = await rules.page(call.community.id, cursor=page.next_cursor, limit=_EXPORTED_AT_ONCE)
        begin = b",\n"
    await response.write(b"]\n")
    await response.write_eof()
    return response


_FILE = {
    "type": "string",
    "description": "A YAML list of rules; or a CSV file (UTF-8 or GB 18030) whose header names the fields in "
    "English or Chinese. In CSV a list may stand in several columns (answer, answer 2) or in a cell as JSON; "
    "triggers also one per line or separated by |, other lists but answers also separated by commas.",
}
_RULES = {"type": "array", "items": {"$ref": f"#/components/schemas/{KeywordRuleForm.__name__}"}}
_SHOWN = {"type": "array", "items": {"$ref": f"#/components/schemas/{KeywordRuleShown.__name__}"}}

ENDPOINTS = (
    Endpoint(
        "POST",
        "/communities/{community}/keywords/import",
        import_keywords,
        "Add the rules of a file (JSON, CSV, YAML), all of them or none.",
        role=Role.MANAGER,
        body_types={
            **dict.fromkeys(JSON_TYPES, _RULES),
            **dict.fromkeys((*CSV_TYPES, *YAML_TYPES), _FILE),
        },
        body_bytes=IMPORT_BYTES,
        answer=Imported,
        status=201,
    ),
    Endpoint(
        "GET",
        "/communities/{community}/keywords/export",
        export_keywords,
        "Stream every keyword rule as one JSON array.",
        answer_types={"application/json": _SHOWN},
    ),
)
