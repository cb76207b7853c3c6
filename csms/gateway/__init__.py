"""Where chargers and browsers hold their connections. Nothing is decided here and nothing is stored.

Chargers:

- ``charger``, ``charger_factory``: Autobahn's protocol and factory; bytes, handshakes, limits.
- ``socket``: a WebSocket as others see it, and close codes.
- ``handshake``: what stands in a charger's HTTP request: its identity and its credentials. Pure.
- ``listening``: the ports. ``tls``: TLS on them. ``channel``: what is known of a connection before it speaks.
- ``admission``: who is let in. ``directory`` remembers the database's answers, ``csms.throttle`` counts failures,
  ``alarms`` tells of what looks like an attack.
- ``relay``: the way of one charger's messages: to the broker, wait for the confirm, answer.
- ``outlet``: one connection's messages for the broker. ``upstream``: what all connections share on the way there.
- ``replies``: workers' decisions find the CALL that waits for them.
- ``registry``: one connection a charger, the newest; takeover between gateways.
- ``draining``: how a gateway that stops sends its chargers away.
- ``service``: start, stop, the broker's ups and downs, deadlines. ``liveness``: its signs of life in the database.
- ``identifiers``: ids of messages and connections, ordered by time. ``clock``: time.

Browsers:

- ``browser``: Autobahn's protocol. ``browser_frames``: what is said on it. ``browser_cursor``: how far each has read.
- ``events``: the notifications of the last while. ``event_feed``: how they come from the broker.
"""
