"""``python -m aiohooks`` is the command ``aiohooks``."""

import sys

from aiohooks.cli import main

if __name__ == "__main__":
    sys.exit(main())
