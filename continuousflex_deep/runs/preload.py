"""What Dask calls in a worker process when it starts."""

import logging
import signal
from typing import Any


def dask_setup(worker: Any) -> None:
    """Leave to the command what a terminal sends to all of its processes (Ctrl-C), and what there is to tell."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
