"""The pure OCPP-J core: bytes and time in, events and text out. No reactor, no sockets, no clock.

- ``versions``: the versions, their WebSocket subprotocols, and which of a client's offers is taken.
- ``errors``: error codes and how each version spells them; the exceptions: theirs and ours.
- ``json``: strict, bounded decoding of what chargers send, and compact encoding.
- ``frames``: the message frames (CALL, CALLRESULT, CALLERROR, and 2.1's CALLRESULTERROR and SEND).
- ``directions``: which side may send an action, for every action of every version.
- ``schemas``: payloads against the JSON schemas of their version.
- ``timestamps``: times as chargers really write them.
- ``registration``: what a charger may send before its boot notification was accepted.
- ``events``: what a connection tells the gateway.
- ``inbox``, ``outbox``: the two directions: the charger's CALLs, one at a time and in its order; ours, one outstanding.
- ``connection``: the state machine of one charger's connection, put together from all of these: start here.
"""
