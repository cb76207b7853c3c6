"""The built console: static files, with index.html for every path that the console itself routes."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path

from twisted.web.iweb import IRequest
from twisted.web.resource import IResource
from twisted.web.static import File

from csms.api import pages
from csms.api.problems import Problem

BUILT_CONSOLE = Path(__file__).parent.parent / "console_dist"
_HASHED = "assets"
"""Vite puts files here whose names change with their content."""


class _OneFile(File):
    """Serves a single file, with conditional and range requests, and only the types that we know."""

    isLeaf = True  # noqa: N815 - Twisted's name

    def __init__(self, path: str) -> None:
        super().__init__(path, defaultType="application/octet-stream")
        self.contentTypes = {**self.contentTypes, ".js": "text/javascript", ".map": "application/json"}


class Console:
    """The files below ``directory``, which may be missing and may appear later."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()

    def page(self, request: IRequest, path: str) -> IResource | bytes:
        """What a GET of ``path`` shows. Raises :class:`Problem` for a file that is not there."""
        index = self._directory / "index.html"
        if not index.is_file():
            request.setResponseCode(HTTPStatus.SERVICE_UNAVAILABLE)
            request.setHeader(b"Content-Type", b"text/html; charset=utf-8")
            request.setHeader(b"Cache-Control", b"no-store")
            return pages.NOT_BUILT
        file = self._file(path)
        if file is not None:
            hashed = file.parent.relative_to(self._directory).parts[:1] == (_HASHED,)
            request.setHeader(
                b"Cache-Control", b"private, max-age=31536000, immutable" if hashed else b"private, no-cache"
            )
            return _OneFile(str(file))
        if "." in path.rpartition("/")[2] or path.startswith(f"/{_HASHED}/"):
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such file")
        request.setHeader(b"Cache-Control", b"private, no-cache")
        return _OneFile(str(index))

    def _file(self, path: str) -> Path | None:
        if "\0" in path:
            return None
        try:
            file = (self._directory / path.lstrip("/")).resolve()
            return file if file.is_relative_to(self._directory) and file.is_file() else None
        except OSError:  # a name that is too long
            return None
