"""A RabbitMQ cluster of the tests' own: several nodes on loopback, with one name server."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

from tests.servers.daemon import Daemon, ServerFailed, wait_until
from tests.servers.rabbitmq import RabbitMQ

NODES = 3
_SETTLE_S = 60.0


class Node(RabbitMQ):
    """One node; the name server belongs to the cluster and outlives it."""

    def end_epmd(self) -> None:
        """Others still need it."""


class Cluster:
    """Nodes that can be killed, paused and cut off from one another. The user is guest with the password guest."""

    def __init__(self, directory: Path, nodes: int = NODES, settings: Mapping[str, str] | None = None) -> None:
        self.nodes = [Node(directory / f"node-{number}") for number in range(nodes)]
        self._epmd = Daemon(directory / "epmd")
        for node in self.nodes:
            node.ports["epmd"] = self.nodes[0].ports["epmd"]
            node.epmd = self._epmd
            node.settings |= {
                "cluster_formation.peer_discovery_backend": "classic_config",
                **{
                    f"cluster_formation.classic_config.nodes.{number}": each.node
                    for number, each in enumerate(self.nodes, 1)
                },
                **(settings or {}),
            }
            cookie = node.directory / ".erlang.cookie"
            cookie.write_text(self.nodes[0].node)
            cookie.chmod(0o400)

    def start(self) -> None:
        """Start the first, then the others into its cluster, and wait until they are together."""
        self.nodes[0].start()
        _at_once([node.start for node in self.nodes[1:]])
        self.await_whole()

    def revive(self) -> None:
        """Start the nodes that were killed, and wait until all are together."""
        _at_once([node.start for node in self.nodes if not node.alive])
        self.await_whole()

    def await_whole(self) -> None:
        """Wait until every node sees all others run."""
        if not wait_until(self._is_whole, _SETTLE_S):
            raise ServerFailed(f"the nodes do not come together: {self.nodes[0].control('cluster_status')}")
        # One that serves already may not have ended its start: it misses a vhost that another one makes then.
        _at_once([partial(node.control, "await_startup") for node in self.nodes])

    def kill(self) -> None:
        """SIGKILL to all."""
        for node in self.nodes:
            node.kill()
        self._epmd.kill()

    def resume(self) -> None:
        """SIGCONT to those that were paused."""
        for node in self.nodes:
            if node.alive:
                node.resume()

    def living(self) -> Node:
        """A node that runs."""
        return next(node for node in self.nodes if node.alive)

    def new_vhost(self) -> str:
        """Make a fresh vhost; a URL of it that names all nodes."""
        return self.url(urlsplit(self.living().new_vhost()).path[1:])

    def url(self, vhost: str = "%2F") -> str:
        """A URL that names all nodes."""
        hosts = ",".join(f"127.0.0.1:{node.ports['amqp']}" for node in self.nodes)
        return f"amqp://guest:guest@{hosts}/{vhost}"

    def leader(self, vhost: str, queue: str) -> Node:
        """The node that leads a quorum queue, as those see it that live."""
        names = {node.node: node for node in self.nodes}
        for node in self.nodes:
            if node.alive:
                found = node.manage("GET", f"queues/{quote(vhost, safe='')}/{quote(queue, safe='')}").get("leader")
                if found in names:
                    return names[found]
        raise ServerFailed(f"{queue} has no leader")

    def isolate(self, node: Node) -> None:
        """Cut ``node`` off from the others, as a network would, until it is started anew; its clients stay."""
        others = ", ".join(f"'{other.node}'" for other in self.nodes if other is not node)
        node.control(
            "eval",
            f"[begin erlang:set_cookie(Other, 'cut_off'), erlang:disconnect_node(Other) end || Other <- [{others}]].",
        )

    def _is_whole(self) -> bool:
        """Whether all nodes run and see one another."""
        names = {node.node for node in self.nodes}
        try:
            return all(
                {each["name"] for each in node.manage("GET", "nodes") if each["running"]} == names
                for node in self.nodes
            )
        except (OSError, ServerFailed):
            return False


def _at_once(tasks: Sequence[Callable[[], object]]) -> None:
    with ThreadPoolExecutor() as pool:
        for done in [pool.submit(task) for task in tasks]:
            done.result()
