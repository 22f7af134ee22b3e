"""One thin command per stage: parse, call, write."""

import sys
from collections.abc import Callable

from l2dual.errors import L2DualError


def run(main: Callable[[], None]) -> None:
    """Call ``main``; report an error the user can mend as one line and exit with status 1."""
    try:
        main()
    except L2DualError as error:
        print(f"l2dual: error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        sys.exit(1)
