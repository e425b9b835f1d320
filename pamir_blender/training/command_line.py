"""How the commands of this package end."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from ..errors import PamirError


def exit_status(name: str, work: Callable[[argparse.Namespace], None], options: argparse.Namespace) -> int:
    """Do ``work``: 0, or 2 with one line on stderr that says what cannot be used or was not there."""
    try:
        work(options)
    except PamirError as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    return 0
