"""The built console: static files, with index.html for every path that the console itself routes."""

from __future__ import annotations

import hashlib
from http import HTTPStatus
from pathlib import Path

from twisted.web.http import CACHED, Request

from csms.api import pages
from csms.api.problems import Problem

BUILT_CONSOLE = Path(__file__).parent.parent / "console_dist"
HASHED = "assets"
"""Vite puts files here whose names change with their content."""
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".ico": "image/vnd.microsoft.icon",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".map": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain; charset=utf-8",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}


class Console:
    """The files below ``directory``, which may be missing and may appear later."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory.resolve()

    def page(self, request: Request, path: str) -> bytes:
        """What a GET of ``path`` shows. Raises :class:`Problem` for a file that is not there."""
        index = self._directory / "index.html"
        if not index.is_file():
            request.setResponseCode(HTTPStatus.SERVICE_UNAVAILABLE)
            request.setHeader("Content-Type", "text/html; charset=utf-8")
            request.setHeader("Cache-Control", "no-store")
            return pages.NOT_BUILT
        file = self._file(path)
        if file is None and ("." in path.rpartition("/")[2] or path.startswith(f"/{HASHED}/")):
            raise Problem(HTTPStatus.NOT_FOUND, "there is no such file")
        return self._send(request, file or index)

    def _send(self, request: Request, file: Path) -> bytes:
        hashed = file.is_relative_to(self._directory / HASHED)
        caching = "private, max-age=31536000, immutable" if hashed else "private, no-cache"
        content = file.read_bytes()
        request.setHeader("Content-Type", _TYPES.get(file.suffix, "application/octet-stream"))
        request.setHeader("Cache-Control", caching)
        if request.setETag(b'"%s"' % hashlib.sha256(content).hexdigest()[:32].encode()) is CACHED:
            return b""
        request.setHeader("Content-Length", str(len(content)))
        return content

    def _file(self, path: str) -> Path | None:
        if "\0" in path:
            return None
        try:
            file = (self._directory / path.lstrip("/")).resolve()
            return file if file.is_relative_to(self._directory) and file.is_file() else None
        except OSError:  # a name that is too long
            return None
