"""Where benchmarks run: servers, what is measured on them, and the measuring itself.

- ``servers``: RabbitMQ and PostgreSQL, with the settings that a deployment should have
- ``target``, ``csms``, ``baseline``: what a load is put on
- ``processes``: processor time and memory, from /proc
- ``measuring``: one run of the load generator, and all that is looked at meanwhile
- ``profiling``: py-spy beside a run
- ``report``: JSON and tables
"""
