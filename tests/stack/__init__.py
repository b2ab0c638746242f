"""Ordermill on one machine: PostgreSQL, an emulated AWS and a token issuer, with the real template deployed into them.

Run as ``python -m stack VERB`` with ``tests/`` on the Python path; ``python -m stack`` alone lists the verbs.
The life of a stack is in :mod:`stack.lifecycle`. Everything listens on 127.0.0.1 and nowhere else.
"""
