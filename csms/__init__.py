"""csms: a charging station management system.

Layers, top to bottom (each imports only what stands below it):

- ``tap``, ``admin``: the composition roots: twistd services and the command line.
- ``gateway``, ``workers``, ``api``, ``simulator``, ``broker``, ``storage``: siblings that meet only through ports.
- ``parts``: database and broker, made from the settings.
- ``authority``: the built-in certificate authority: its files, and what it signs.
- ``launch``: the settings as a program finds them where it is started.
- ``config``, ``metrics``, ``coroutines``, ``logs``: what every part of a process shares.
- ``ports``: the protocols between the siblings.
- ``domain``: pure: the model, the message formats, the OCPP handlers.
- ``ocpp``: pure: OCPP-J frames, schemas and the state machine of a connection.
"""
