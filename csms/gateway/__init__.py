"""Where chargers and browsers hold their connections. Nothing is decided here and nothing is stored.

Chargers:

- ``charger``: Autobahn's protocol and factory; bytes, handshakes, limits. The only one that knows autobahn.
- ``handshake``: what stands in a charger's HTTP request: its identity and its credentials. Pure.
- ``admission``: who is let in. ``directory`` remembers the database's answers, ``throttle`` counts failures.
- ``relay``: the way of one charger's messages: to the broker, wait for the confirm, answer.
- ``upstream``: what all relays share: broker, clock, name, and the making of the broker's messages.
- ``replies``: workers' decisions find the CALL that waits for them.
- ``registry``: one connection a charger, the newest; takeover between gateways.
- ``service``: start, stop, the broker's ups and downs, deadlines.
- ``identifiers``: ids of messages and connections, ordered by time.

Browsers: ``browser`` and the modules whose names begin so.
"""
