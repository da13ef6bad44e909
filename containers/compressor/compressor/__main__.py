"""Entry point of the compressor's container: `python -m compressor`."""

import sys

from compressor.stage import result_folder, work
from stage.cli import main

if __name__ == "__main__":
    sys.exit(main("compressor", result_folder, work))
