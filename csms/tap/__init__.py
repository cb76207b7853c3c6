"""The composition roots: what ``twistd <service>`` starts. Nobody imports from here.

- ``csms``, ``gateway``, ``worker``, ``simulator``: one service each: its options, and ``makeService``, which opens
  nothing.
- ``options``: command-line options, made from the settings; ``--help``.
- ``composition``: builds the parts of a process from the settings and puts them in order.
- ``stages``: starts them one after the other, stops them in the opposite order.
- ``standard_log``: where the log goes.
"""
