"""`python -m sandbox.partners DISCOVERY_URL CREDENTIALS_FILE`: what the embedded hub runs."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

from sandbox.partners.player import play

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes a line for each request
    play(sys.argv[1], Path(sys.argv[2]))
