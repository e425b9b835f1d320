"""``python -m pamir_blender``: see :mod:`pamir_blender.cli`."""

import sys

from .cli import main

if __name__ == "__main__":
    sys.exit(main())
