"""``csms-admin token import`` and ``export``: tokens as CSV (:mod:`csms.domain.token_csv`)."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from csms.admin.auditing import note
from csms.admin.output import Answer, CommandError
from csms.admin.site import Site
from csms.domain import token_csv
from csms.domain.model import IdToken
from csms.domain.repositories import UnitOfWork
from csms.domain.token_records import Stored

_PAGE = 500


async def import_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """Take tokens from a file: all of them or none."""

    def work(uow: UnitOfWork) -> Stored:
        file.seek(0)
        stored = token_csv.take(uow, file, now=site.now(), dry_run=arguments.dry_run)
        note(site, uow, "token import", "id-tokens", after={"added": stored.added, "replaced": stored.replaced})
        return stored

    database = await site.database()
    with _opened(arguments.file) as file:
        try:
            stored = await database.transact(work, name="import tokens")
        except token_csv.TokenCsvError as error:
            raise CommandError(f"{arguments.file}: {error}; nothing was imported") from error
        except token_csv.DryRun as dry:
            stored = dry.stored
    would = "would import" if arguments.dry_run else "imported"
    return Answer(
        f"{would} {stored.added + stored.replaced} tokens: {stored.added} new, {stored.replaced} replaced",
        {"added": stored.added, "replaced": stored.replaced, "dryRun": arguments.dry_run},
    )


async def export_all(site: Site, arguments: argparse.Namespace) -> Answer:
    """Write all tokens into a file, or print them."""
    if not arguments.out:
        printed: list[str] = []
        await _write_pages(site, printed.append)
        text = "".join(printed)
        return Answer(text.removesuffix("\n"), {"csv": text})
    out = Path(arguments.out)
    unfinished = out.with_name(f"{out.name}.{os.getpid()}.new")
    try:
        with unfinished.open("w", encoding="utf-8", newline="") as file:
            unfinished.chmod(0o600)
            count = await _write_pages(site, file.write)
        unfinished.replace(out)
    except OSError as error:
        raise CommandError(f"cannot write {out}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)
    return Answer(f"wrote {count} tokens to {out}", {"tokens": count, "file": str(out)})


async def _write_pages(site: Site, write: Callable[[str], Any]) -> int:
    database = await site.database()
    count, after = 0, ""
    while True:

        def work(uow: UnitOfWork, after: str = after) -> Sequence[IdToken]:
            return uow.id_tokens.page(after=after, limit=_PAGE)

        page = await database.read(work, name="export tokens")
        write(token_csv.write(page, header=not count))
        count += len(page)
        if len(page) < _PAGE:
            return count
        after = page[-1].token


@contextmanager
def _opened(file: str) -> Iterator[IO[bytes]]:
    """The file, readable more than once: a transaction may be tried again. ``-`` is standard input."""
    with tempfile.TemporaryFile() as copy:
        if file == "-":
            shutil.copyfileobj(sys.stdin.buffer, copy)
            yield copy
            return
        try:
            opened = Path(file).open("rb")  # noqa: SIM115 - closed below; only the opening is guarded
        except OSError as error:
            raise CommandError(f"cannot read {file}: {error.strerror}") from error
        with opened:
            yield opened
