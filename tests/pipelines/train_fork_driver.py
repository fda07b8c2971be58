"""The train stage in a fork of this process for each line of arguments: quick to start and kill.

What takes seconds to import is imported once. A line on stdin is a JSON list of arguments; the
answers are the fork's process id and, when it has ended, its status.
"""

from __future__ import annotations

import json
import os
import sys
import warnings

from pipelines.train.run import main
from pipelines.train.worker import TrainVariant  # noqa: F401 - imported before the forks


def serve() -> None:
    """Runs one stage after the other until stdin ends."""
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            os.close(0)
            os._exit(main(json.loads(line)))
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdout.write(f"{os.waitpid(pid, 0)[1]}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    serve()
