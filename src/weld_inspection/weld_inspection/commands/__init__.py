"""Command line tools: thin entry points over the rooms of the package."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from weld_inspection.errors import InspectionError

INTERRUPTED = 130  # exit status of a program ended by SIGINT: 128 + 2


def run_command(main: Callable[[list[str]], int]) -> NoReturn:
    """Runs a command line tool and ends the process with its exit status.

    A mistake of the user's is one line on standard error, never a traceback.

    Args:
        main: Takes the arguments without the program's name; returns the exit status.
    """
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
    except InspectionError as error:
        text = " ".join(str(error).split())
        print(f"{Path(sys.argv[0]).name}: error: {text}", file=sys.stderr)
        status = 1
    except BrokenPipeError:
        # The reader of a pipe (such as `head`) has gone; nothing is left to tell anybody.
        sys.stdout = None
        status = 1
    except KeyboardInterrupt:
        print(f"{Path(sys.argv[0]).name}: interrupted", file=sys.stderr)
        status = INTERRUPTED
    sys.exit(status)
