"""Pure: what csms knows about charging, without any input or output.

- ``messages``: the bodies that travel on the broker, and their encoding.
- ``model``: charger, connector, session, sample, token: the records that handlers read and change.
- ``repositories``: what a unit of work offers; storage implements it.
- ``actions``: one table of every OCPP action: who answers it, and which function handles it.
- ``provisioning``, ``authorization``, ``transactions``, ``metering``, ``availability``, ``diagnostics``, ...:
  the handlers, one module for each functional block of OCPP.
"""
