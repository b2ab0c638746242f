"""Starts MiniStack, the emulated AWS, without its 45 ms pause in each function call and with what it lacks.

Its runtime API answers in two small writes; with Nagle's algorithm on, the second waits for the client's delayed
acknowledgement. A program of its own: ``python -m stack.launcher``, with MiniStack's settings in the environment.
"""

import os
import socketserver

from ministack.app import main

from stack import lacking

if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # It brought us here; the functions, which inherit the environment, have no use for it.
    del os.environ["PYTHONPATH"]
    lacking.add()
    main()
