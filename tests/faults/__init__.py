"""The fault bench: csms under steady load, one fault after the other, and an account of every message.

Run it by ``make faults`` (all, some 40 minutes), ``python -m tests.faults NAME ...`` (some), ``python -m tests.faults
--list``. A short selection is part of ``make test``: ``test_faults.py``.

How a fault is judged. Simulated chargers keep a ledger of what they sent and what was answered, and repeat what was
not, after a reconnection, as real ones do. After the fault and a drain the ledger is compared with the database and
with the notifications that a browser saw (``audit``): nothing answered is lost, nothing counts twice, everything is in
the charger's order, and no charger got a CALLERROR. The complaints in the logs of csms count, too.

To add a fault, write one coroutine function in the module where it belongs and decorate it; nothing else::

    @fault("worker-killed", short=True)
    async def worker_killed(field: Field) -> None:
        \"\"\"SIGKILL of the worker that holds the shards.\"\"\"
        victim = await field.busy_worker()
        await field.kill(victim)
        field.over()  # what comes now is recovery
        await field.start(victim)

- The docstring's first line is the description in the tables.
- The function causes the fault, takes it back, and leaves every process running. The load goes on all the while.
- ``field`` (:class:`tests.faults.field.Field`) has the installation, the ledger, the chargers, the browser.
  ``field.check`` fails the fault, ``field.note`` reports a figure beside the usual ones, ``field.seconds(60, 10)`` is
  a duration in the full and in the short run, ``field.allowed`` are words of complaints that belong to the fault.
- ``short=``: whether ``make test`` causes it, too: each kind of promise once, within little more than a minute.
- ``layout=``: another installation than the usual two gateways and two workers on a RabbitMQ and a PostgreSQL of their
  own, see ``sites``. Faults of one layout share an installation; after one that failed comes a fresh one.
- ``touches=``: what it breaks (``gateway``, ``worker``, ``broker``, ``database``, ``charger``).
- ``field.alone``: whether nothing else fails at the same time; a claim that does not hold then is made only if so.
- A module of faults is imported by ``catalogue``.

The map: ``ledger``, ``link`` and ``chargers`` (the load), ``browser`` (who watches /events), ``sites`` (installations),
``field`` (what a fault works with), ``audit`` (the comparison), ``runner``, ``report``, ``catalogue``, and the modules
of faults: ``processes``, ``broker``, ``moments`` (deaths at an exact point), ``charger_faults``, ``message_faults``,
and ``pairs``, which puts two faults together.
"""
