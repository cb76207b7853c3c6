"""Virtual chargers: for demonstrations, and the seed of the load tests.

- ``curves``: pure: a car's battery, and the power that it takes.
- ``dialects``: pure: the payloads of OCPP 1.6 and 2.x for what a charger has to say.
- ``link``: a charger's end of OCPP-J, without a socket: one CALL at a time, answers matched, commands answered.
- ``mailbox``: transaction messages that wait until they are answered, through any number of reconnections.
- ``connector``: the life of one connector: cars come, charge, and leave.
- ``charger``: a charging station: boots, keeps its connectors going, obeys commands.
- ``client``: the WebSocket (Autobahn), with reconnection and jitter. ``tls``: whom it trusts, what it shows.
- ``service``: many chargers as one service.
"""
