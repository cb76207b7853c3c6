"""Alembic asks this file how to run; :mod:`csms.storage.schema` says what on."""

from typing import Any

from alembic import context

attributes = context.config.attributes


def applied(ctx: Any, step: Any, heads: Any, run_args: Any) -> None:
    """Tell of a migration that was run."""
    attributes["applied"](f"{step.up_revision_id} ({step.up_revision.doc})")


context.configure(connection=attributes["connection"], on_version_apply=applied)
with context.begin_transaction():
    context.run_migrations()
