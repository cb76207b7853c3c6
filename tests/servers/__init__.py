"""Real servers for tests: RabbitMQ and PostgreSQL on loopback, started when first asked for, once per test run.

- ``rabbitmq_url()``: a fresh vhost; ``drop_vhost(url)`` deletes it.
- ``postgresql_url()``: a fresh, empty database; ``drop_database(url)`` deletes it.
- ``RabbitMQ(directory)``, ``PostgreSQL(directory)``: a server of the test's own, to kill, stop, pause and start.
- ``Cluster(directory)``: several nodes of RabbitMQ, to kill, pause and cut off.

All pytest-xdist workers of a run share one server of each kind: ``shared`` keeps them in a directory that the
environment names, and ``tests/conftest.py`` stops them at the end. Nothing here touches the reactor.
"""

from tests.servers.cluster import Cluster
from tests.servers.daemon import ServerMissing
from tests.servers.postgresql import PostgreSQL, drop_database
from tests.servers.rabbitmq import RabbitMQ, drop_vhost
from tests.servers.shared import postgresql_server, postgresql_url, rabbitmq_server, rabbitmq_url

__all__ = [
    "Cluster",
    "PostgreSQL",
    "RabbitMQ",
    "ServerMissing",
    "drop_database",
    "drop_vhost",
    "postgresql_server",
    "postgresql_url",
    "rabbitmq_server",
    "rabbitmq_url",
]
