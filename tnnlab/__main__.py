"""``python -m tnnlab``."""

import sys

from tnnlab.cli import main

if __name__ == "__main__":
    sys.exit(main())
