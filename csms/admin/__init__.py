"""The command line ``csms-admin``: what an operator does to an installation from a shell.

- ``__main__``: from the arguments to an exit code.
- ``arguments``: the tree of commands and their help.
- ``site``: the installation that the settings name: its database, its dead letters.
- ``schema``, ``chargers``, ``tokens``, ``users``, ``dead_letters``, ``access``, ``authority``: the
  commands, one module a noun.
- ``output``: what a command has to say, for people or (``--json``) for scripts.
"""
