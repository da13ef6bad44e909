"""`make down`: stop what `make up` started."""

from __future__ import annotations

import sys

from local.cloud import stop_detached
from local.up import FOLDER


def main() -> int:
    print("stopped" if stop_detached(FOLDER) else "the local cloud was not running")
    return 0


if __name__ == "__main__":
    sys.exit(main())
