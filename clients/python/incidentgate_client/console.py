"""Lines for whoever reads them."""

import os


def tell(stream, line):
    """The reader may have left: the exit code still tells the outcome."""
    if stream is None:
        return
    try:
        print(line, file=stream, flush=True)
    except OSError:
        # Or the interpreter would fail at its end, when it writes what is left.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
