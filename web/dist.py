"""The built assets: their hashed names, and the server of them with compressed copies and for ever."""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import orjson
from starlette.datastructures import Headers
from starlette.responses import FileResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

DIST = Path(__file__).parent / "static" / "dist"
BASE = "/static"
FOR_EVER = "public, max-age=31536000, immutable"
ENCODINGS = (("br", ".br"), ("gzip", ".gz"))
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml", ".txt": "text/plain", ".woff2": "font/woff2"}


class AssetsMissing(RuntimeError):
    """The assets were not built; `pip install -e .` builds them."""


@lru_cache
def manifest() -> Mapping[str, str]:
    """Hashed file name by plain name. Raises: AssetsMissing."""
    try:
        names: dict[str, str] = orjson.loads((DIST / "manifest.json").read_bytes())
    except FileNotFoundError:
        raise AssetsMissing(str(DIST)) from None
    return names


def asset(name: str) -> str:
    """The address of a built file, as "style.css"."""
    return f"{BASE}/{manifest()[name]}"


@lru_cache
def notices() -> str:
    """The licences of everything the pages ship."""
    return (DIST / "THIRD_PARTY_NOTICES.txt").read_text(encoding="utf-8")


class Assets(StaticFiles):
    """Mount at `BASE`. Names are hashes of contents, so answers never change."""

    def __init__(self) -> None:
        super().__init__(directory=DIST)

    async def get_response(self, path: str, scope: Scope) -> Response:
        accepted = Headers(scope=scope).get("accept-encoding", "")
        for encoding, suffix in ENCODINGS:
            if encoding in accepted and (DIST / f"{path}{suffix}").is_file() and ".." not in path:
                kind = TYPES.get(Path(path).suffix, "application/octet-stream")
                response: Response = FileResponse(DIST / f"{path}{suffix}", media_type=kind)
                response.headers["content-encoding"] = encoding
                break
        else:
            response = await super().get_response(path, scope)
        if response.status_code < 400:
            response.headers["cache-control"] = FOR_EVER
            response.headers["vary"] = "accept-encoding"
        return response
