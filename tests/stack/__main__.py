"""Entry point of ``python -m stack``."""

import signal
import sys

# Until the verbs' handlers are set: a Ctrl-C during the imports ends the process without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

from stack.cli import main  # noqa: E402

sys.exit(main(sys.argv[1:]))
