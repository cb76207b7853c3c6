"""The workers: they take messages from the broker, decide, write the database, and tell what happened.

- ``service``: all workers of a process, made from the settings; what the composition root starts and stops.
- ``loop``: the consumer loop: batches, retries in place, isolation of what cannot be handled, fencing, stop.
- ``outcomes``: what a delivery can end with, and the one place that turns it into acts on the broker.
- ``contact``: whether the database answers this process, which otherwise leaves its queues to others.
- ``subscription``, ``pauses``: consuming until told otherwise; back-off and the stop that ends every pause.
- ``ocpp``: charger messages -> effects, answers and notifications; ``relay``: the outbox on its way to the broker.
- ``upkeep``: recurring tasks, such as noticing gateways that have died.
- ``signing``: certificates that chargers have asked for, by the built-in authority or a program.
- ``notifications``: webhooks; ``webhook``: one signed post; ``egress``: connections to public addresses only.
- ``charging_events``: session summaries; ``analytics``: hourly figures; ``rollup``: the arithmetic of both.
"""
