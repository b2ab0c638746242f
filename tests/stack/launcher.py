"""Starts MiniStack, the emulated AWS, without its 45 ms pause in each function call and with what it lacks.

Its runtime API answers in two small writes; with Nagle's algorithm on, the second waits for the client's delayed
acknowledgement. A program of its own: ``python -m stack.launcher FILE``, with MiniStack's settings in the environment;
the functions' calls are noted in the file.
"""

import os
import socketserver
import sys
from pathlib import Path

from ministack.app import main

from stack import calls, lacking

if __name__ == "__main__":
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # They brought us here, and mean nothing, or another thing, to the functions, which inherit the environment.
    del os.environ["PYTHONPATH"], os.environ["AUTH"]
    lacking.add()
    calls.watch(Path(sys.argv.pop()))
    main()
