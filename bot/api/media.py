"""``media``: pictures, voice, video and files that replies may name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_core import PydanticCustomError

from bot.api.endpoint import Call, Endpoint, Query, Role, Schema, Shown
from bot.api.problem import Flaw, invalid
from bot.storage.sql.blobs import MOST_BYTES, BlobStore

_BINARY: Schema = {"type": "string", "format": "binary"}
_ANY = "application/octet-stream"
# What the platforms look into, by the bytes it begins with: (where, what).
_SIGNATURES: Mapping[str, tuple[tuple[int, bytes], ...]] = MappingProxyType(
    {
        "image/jpeg": ((0, b"\xff\xd8\xff"),),
        "image/png": ((0, b"\x89PNG\r\n\x1a\n"),),
        "image/gif": ((0, b"GIF87a"), (0, b"GIF89a")),
        "audio/amr": ((0, b"#!AMR"),),
        "audio/mpeg": ((0, b"ID3"), (0, b"\xff\xfb"), (0, b"\xff\xf3"), (0, b"\xff\xf2")),
        "video/mp4": ((4, b"ftyp"),),
    }
)
_FILES = (
    "application/json", "application/msword", "application/octet-stream", "application/pdf",
    "application/vnd.ms-excel", "application/vnd.ms-powerpoint",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    "application/zip", "text/csv", "text/markdown", "text/plain",
)  # fmt: skip


def _check_name(name: str) -> str:
    if not name.isprintable() or "/" in name or "\\" in name:
        raise PydanticCustomError(
            "file_name", "is no name of a file", {"cure": "leave out folders and control characters"}
        )
    return name


class MediaQuery(Query):
    """What the bytes are called."""

    file_name: Annotated[
        str,
        AfterValidator(_check_name),
        Field(max_length=128, description="The name people see of a file; without folders."),
    ] = ""


class MediaShown(Shown):
    """Bytes that are kept."""

    blob: Annotated[str, Field(description="Names them in parts of replies: their SHA-256, hexadecimal.")]
    content_type: Annotated[str, Field(description="As the bytes themselves tell it, else as it was sent.")]
    size_bytes: int


async def upload_media(call: Call[MediaQuery, bytes]) -> MediaShown:
    """Keep bytes; the same ones are kept once."""
    content = call.body
    declared = call.request.content_type.lower()
    found = next((name for name, starts in _SIGNATURES.items() if _begins(content, starts)), "")
    if not content:
        raise invalid([Flaw(path="", problem="holds no bytes", cure="send the file as the body")])
    if declared in _SIGNATURES and found != declared:
        cure = f"these bytes are {found}" if found else f"send {declared}, or any file as {_ANY}"
        raise invalid([Flaw(path="Content-Type", problem=f"says {declared}; the bytes do not", cure=cure)])
    content_type = found if declared == _ANY and found else declared
    store = BlobStore(call.parts.database, call.parts.clock)
    digest = await store.put(content, content_type, call.query.file_name)
    return MediaShown(blob=digest, content_type=content_type, size_bytes=len(content))


def _begins(content: bytes, starts: tuple[tuple[int, bytes], ...]) -> bool:
    return any(content.startswith(start, at) for at, start in starts)


ENDPOINTS = (
    Endpoint(
        "POST",
        "/media",
        upload_media,
        "Keep a picture, voice, video or file, up to 20 MiB, and return what parts name it by.",
        role=Role.MANAGER,
        query=MediaQuery,
        body_types=dict.fromkeys((*_SIGNATURES, *_FILES), _BINARY),
        body_bytes=MOST_BYTES,
        answer=MediaShown,
        status=201,
    ),
)
