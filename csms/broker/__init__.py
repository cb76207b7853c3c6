"""The adapters of the port ``Broker``.

- ``factory``: ``open_broker(url, ...)``, what the composition roots call.
- ``memory``, ``memory_queues``, ``routing``: the broker inside one process.
- ``amqp``: the broker over AMQP, whichever library speaks it; made of
  ``line`` (a connection that is kept up), ``publisher`` (what is not confirmed yet), ``subscription`` (consumers).
- ``wire``: what a library's adapter offers to these; ``amqp_pika`` and ``amqp_txamqp`` do.
- ``amqp_frames``, ``amqp_tables``: a publish as bytes, the same and fast for both.
- ``amqp_txamqp_protocol``, ``amqp0-9-1.xml``: what txAMQP needs to keep the same promise.
- ``address``: a broker's URL, and the endpoint that leads there.
- ``dead_letters``: ``dead_letter_queue`` on RabbitMQ.

Names of exchanges, queues and keys stand in ``csms.domain.topology``.
"""
