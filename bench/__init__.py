"""Repeatable benchmarks, one command each: ``python bench/mixed.py``. They start their own servers, on loopback.

- ``load``: the load generator, a process of its own
- ``stand``: servers, what is measured on them, and the measuring itself
"""
