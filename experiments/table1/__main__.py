"""``python -m experiments.table1``."""

import sys

from experiments.table1.run import main

if __name__ == "__main__":
    sys.exit(main())
