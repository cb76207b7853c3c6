"""The database: SQLite and PostgreSQL with one code.

- ``database``: :func:`open_database`, the port's implementation; threads, transactions, retries.
- ``engines``, ``threads``, ``running``, ``errors``: connections, where work runs, and what goes wrong.
- ``tables``, ``types``, ``keys``: the tables as SQLAlchemy Core sees them, and their digests.
- ``schema``, ``migrations``: bringing a database up to date. ``maintenance``, ``partitions``: keeping it so.
- ``unit_of_work``: one transaction. ``tracking`` is its identity map, ``sql`` and ``bulk`` its statements, ``mentions``
  what it fetches ahead for a batch; ``chargers``, ``sessions``, ``samples``, ``tokens``, ``log``, ``outbox``,
  ``cluster`` (gateways, shards), ``devices`` (what was agreed with chargers), ``certificates``,
  ``analytics``, ``web``, ``letters``: its repositories.
- ``dead_letters``: the dead letters of the embedded broker.
"""

from csms.storage.database import SqlDatabase, open_database
from csms.storage.dead_letters import DeadLetterReplay, StoredDeadLetters
from csms.storage.schema import SchemaTooNew

__all__ = ["DeadLetterReplay", "SchemaTooNew", "SqlDatabase", "StoredDeadLetters", "open_database"]
