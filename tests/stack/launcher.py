"""Starts MiniStack, the emulated AWS, with corrections: ``python -m stack.launcher FILE``.

Its runtime API answers in two small writes. With Nagle's algorithm the second write waits 45 ms for the client's
delayed acknowledgement, so the algorithm is turned off. :mod:`stack.cloudformation` makes it accept the whole
template, :mod:`stack.gateway` creates the routes, and :mod:`stack.calls` writes the functions' calls to the file.
MiniStack's settings are in the environment.
"""

import os
import socketserver
import sys
from pathlib import Path

from ministack.app import main

from stack import calls, cloudformation, gateway

if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # The functions inherit the environment: the first variable is useless there, the second has another meaning.
    del os.environ["PYTHONPATH"], os.environ["AUTH"]
    cloudformation.accept_template()
    gateway.read_documents()
    calls.watch(Path(sys.argv.pop()))
    main()
