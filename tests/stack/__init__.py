"""Ordermill on one machine: PostgreSQL, an emulated AWS and a token issuer, with the real template deployed into them.

Run ``python -m stack VERB`` with ``tests/`` on the Python path; ``python -m stack`` without a verb lists them.
:mod:`stack.lifecycle` starts and stops a stack. All servers listen only on 127.0.0.1.
"""
