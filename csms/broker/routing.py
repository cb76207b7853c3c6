"""Which queues take a message: AMQP's exchange types, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from csms.domain.topology import DEFAULT_EXCHANGE, Binding, Topology


def topic_matches(pattern: tuple[str, ...], words: tuple[str, ...]) -> bool:
    """Whether a binding's words match a routing key's: ``*`` is one word, ``#`` any number of them."""
    if not pattern:
        return not words
    if pattern[0] == "#":
        return any(topic_matches(pattern[1:], words[start:]) for start in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and topic_matches(pattern[1:], words[1:])


class Router:
    """Exchanges and their bindings."""

    def __init__(self, topology: Topology) -> None:
        self._kinds = {exchange.name: exchange.kind for exchange in topology.exchanges}
        self._queues: set[str] = {queue.name for queue in topology.queues}
        self._direct: dict[tuple[str, str], set[str]] = {}
        self._matched: dict[str, list[tuple[Binding, tuple[str, ...]]]] = {name: [] for name in self._kinds}
        for binding in topology.bindings:
            self.bind(binding)

    def knows(self, exchange: str) -> bool:
        """Whether there is such an exchange."""
        return exchange == DEFAULT_EXCHANGE or exchange in self._kinds

    def add_queue(self, name: str) -> None:
        """A queue came to be: the default exchange leads to it."""
        self._queues.add(name)

    def bind(self, binding: Binding) -> None:
        """Add a binding; one that is there already changes nothing."""
        if self._kinds[binding.source] == "direct":
            self._direct.setdefault((binding.source, binding.routing_key), set()).add(binding.target)
            return
        bound = self._matched[binding.source]
        if all(binding != other for other, _ in bound):
            bound.append((binding, tuple(binding.routing_key.split("."))))

    def unbind(self, binding: Binding) -> None:
        """Remove a binding; one that is not there changes nothing."""
        if self._kinds[binding.source] == "direct":
            key = (binding.source, binding.routing_key)
            targets = self._direct.get(key, set())
            targets.discard(binding.target)
            if not targets:
                self._direct.pop(key, None)
            return
        bound = self._matched[binding.source]
        bound[:] = [(other, words) for other, words in bound if other != binding]

    def route(self, exchange: str, routing_key: str, headers: Mapping[str, str | int]) -> set[str]:
        """The names of the queues that take the message."""
        if exchange == DEFAULT_EXCHANGE:
            return {routing_key} & self._queues
        return set(self._targets(exchange, routing_key, tuple(routing_key.split(".")), headers))

    def _targets(
        self, exchange: str, routing_key: str, words: tuple[str, ...], headers: Mapping[str, str | int]
    ) -> Iterator[str]:
        yield from self._direct.get((exchange, routing_key), ())
        kind = self._kinds[exchange]
        for binding, pattern in self._matched[exchange]:
            if kind == "topic":
                taken = topic_matches(pattern, words)
            elif kind == "headers":
                wanted = ((name, value) for name, value in binding.arguments.items() if not name.startswith("x-"))
                taken = all(headers.get(name) == value for name, value in wanted)
            else:
                taken = True
            if taken and binding.to_exchange:
                yield from self._targets(binding.target, routing_key, words, headers)
            elif taken:
                yield binding.target
