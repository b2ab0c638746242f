"""Starts MiniStack, the emulated AWS, with two corrections: ``python -m stack.launcher``.

Its runtime API answers in two small writes. With Nagle's algorithm the second write waits 45 ms for the client's
delayed acknowledgement, so the algorithm is turned off. :mod:`stack.lacking` adds missing kinds of resources.
MiniStack's settings are in the environment.
"""

import os
import socketserver

from ministack.app import main

from stack import lacking

if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # The functions inherit the environment, and do not need this variable.
    del os.environ["PYTHONPATH"]
    lacking.add()
    main()
