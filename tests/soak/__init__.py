"""A soak: csms under steady load for a while, and whether anything of it grows that should not.

Run it by ``make soak`` (30 minutes) or ``make soak MINUTES=600 RESTARTS=10``. Two gateways and two workers on a
RabbitMQ and a PostgreSQL of their own; some hundred simulated chargers, browsers that watch and come and go, REST
calls, commands; at wish one process after the other is stopped and started again.

- ``load``: who asks something of csms. ``sampling``: what is measured. ``verdict``: what a series says.
- ``__main__``: the run; a line of progress every half minute, the verdict, and JSON in ``var/soak.json``.
"""
