from __future__ import annotations

import re
from typing import Any

from openapi_spec_validator import OpenAPIV31SpecValidator

from bot.api.openapi import openapi_document
from bot.api.problem import PROBLEMS
from bot.api.routes import DOCUMENT_PATH, ENDPOINTS, PREFIX
from tests.api.requests import sample_requests
from tests.api.world import World

DOCUMENT: dict[str, Any] = openapi_document(ENDPOINTS, PREFIX)


async def test_the_document_is_public_and_valid_openapi_3_1(world: World) -> None:
    reply = await world.ask("GET", DOCUMENT_PATH, token="")
    assert (reply.status, reply.body) == (200, DOCUMENT)
    assert DOCUMENT["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(DOCUMENT).validate()


async def test_the_router_knows_what_the_table_and_the_document_say_and_nothing_else(world: World) -> None:
    routed = set()
    for route in world.service.web_app.router.routes():
        assert route.resource is not None
        path = re.sub(r"\{(\w+):[^}]*\}", r"{\1}", route.resource.canonical)
        if path.startswith(PREFIX) and route.method != "*":  # which is what refuses everything else
            routed.add((route.method, path))
    table = {(endpoint.method, PREFIX + endpoint.path) for endpoint in ENDPOINTS}
    described = {
        (method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations
    }
    assert routed == table | {("GET", PREFIX + DOCUMENT_PATH)}
    assert described == table


def test_every_operation_has_its_own_id_and_names_its_path_parts_and_role() -> None:
    operations = [
        (path, operation) for path, known in DOCUMENT["paths"].items() for operation in known.values()
    ]
    assert len({operation["operationId"] for _, operation in operations}) == len(operations)
    for path, operation in operations:
        named = [part["name"] for part in operation["parameters"] if part["in"] == "path"]
        assert named == re.findall(r"\{(\w+)\}", path)
        assert operation["description"].startswith("Least role: ")
    assert {endpoint.act.__name__ for endpoint in ENDPOINTS} == {
        operation["operationId"] for _, operation in operations
    }


async def test_every_status_and_content_type_of_a_real_answer_is_described(world: World) -> None:
    for sample in await sample_requests(world):
        operation = DOCUMENT["paths"][PREFIX + sample.endpoint.path][sample.endpoint.method.lower()]
        for token in (world.owner, ""):
            reply = await world.ask(sample.endpoint.method, sample.path, token=token, json=sample.body)
            described = operation["responses"][str(reply.status)]
            if "$ref" in described:
                described = DOCUMENT["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
            content = reply.headers.get("Content-Type", "").partition(";")[0] if reply.status != 204 else ""
            assert content in described.get("content", {"": None}), (sample.name, reply)


def test_every_problem_an_endpoint_names_exists() -> None:
    for endpoint in ENDPOINTS:
        assert set(endpoint.problems) <= set(PROBLEMS), endpoint.path
