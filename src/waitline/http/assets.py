"""Static files of pages, in a folder named by a hash of their content (cache busting).

A page names that folder, so a browser never mixes files of two versions, and may cache each of them
for ever. Modules import each other by relative addresses and stay inside the folder.
"""

from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from waitline.http.problems import PathUnknown
from waitline.http.static_files import load, respond

_KEPT = "public, max-age=31536000, immutable"


class Assets:
    """A set of files, and where they are served.

    Args:
        folder: Path of their parent folder, without a slash at either end.
        files: The files, each with another name.

    Attributes:
        path: Path of their folder, without a slash at either end.

    Raises:
        OSError: A file is missing.
    """

    def __init__(self, folder: str, files: Iterable[Path]) -> None:
        found = {file.name: load(file) for file in files}
        content = blake2b(digest_size=8)
        for name in sorted(found):
            content.update(f"{name}\0{len(found[name].body)}\0".encode() + found[name].body)
        self._folder = folder
        self._digest = content.hexdigest()
        self.path = f"{folder}/{self._digest}"
        self._files = {
            name: file._replace(headers={**file.headers, "Cache-Control": _KEPT})
            for name, file in found.items()
        }

    def router(self) -> APIRouter:
        """Return the route of the files."""
        routes = APIRouter(include_in_schema=False)

        async def asset(digest: str, name: str, request: Request) -> Response:
            file = self._files.get(name)
            if file is None or digest != self._digest:
                raise PathUnknown
            return respond(file, request)

        path = f"/{self._folder}/{{digest}}/{{name}}"
        routes.add_api_route(path, asset, methods=["GET", "HEAD"])
        return routes
