"""The load generator: many chargers in one lean process, over raw sockets, with nothing but the standard library.

- ``frames``: the little of HTTP and RFC 6455 that a charger needs, as functions of bytes
- ``scripts``: what a charger says next
- ``charger``: one charger's connection
- ``swarm``: all of them on one epoll; closed and open loop
- ``tally``: what was answered, and how fast
- ``browsers``: ``python -m bench.load.browsers``: the other side, many browsers and one charger whose status changes
- ``__main__``: ``python -m bench.load --help``; tells its progress as JSON, an object a line

It imports nothing of csms: what it measures is not what it is made of.
"""
