"""`make down`: stop what `make up` started."""

from __future__ import annotations

from local.cloud import stop_detached
from local.up import FOLDER


def main() -> None:
    print("stopped" if stop_detached(FOLDER) else "the local cloud was not running")


if __name__ == "__main__":
    main()
