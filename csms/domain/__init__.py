"""Pure: what csms knows about charging, without any input or output.

- ``messages``: the bodies that travel on the broker, and their encoding.
- ``model``: charger, connector, session, sample, token: the records that handlers read and change.
- ``repositories``: what a unit of work offers; storage implements it.
- ``actions``: one table of every OCPP action: who answers it, and which function handles it.
- ``handling``: what a handler is given and what it returns.
- ``provisioning``, ``authorization``, ``transactions16``, ``transactions2``, ``metering``, ``availability``,
  ``diagnostics``, ``data_transfer``: the handlers, one module for each functional block of OCPP.
- ``sessions``, ``energy``, ``samples``: what the handlers of all versions share about charging.
- ``payloads``, ``times``: reading what chargers send without trusting it.
- ``device_records``: what was agreed with a charger, ``repositories_devices``: where it is kept. ``configuration``,
  ``variables``, ``local_lists``, ``reservations``, ``smart_charging`` (``composite`` computes), ``jobs``,
  ``installed_certificates``, ``availability_wishes`` change it; ``command_effects`` is the table of what each command
  changes, ``stored`` says where that is found.
- ``credentials``: passwords of chargers. ``password_rotation``: new ones on their way, by
  ``password_commands``.
- ``security``: profiles, and whose a client certificate is. ``certificate_signing``: what chargers ask to be signed;
  ``repositories_certificates``: the register.
- ``topology``, ``dead_letters``: names and headers on the broker.
"""
