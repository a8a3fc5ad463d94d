"""`python -m sandbox.partners DISCOVERY_URL CREDENTIALS_FILE`: what the embedded hub runs."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from sandbox.partners.player import play

if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m sandbox.partners", description="Play the organisations of the sandbox until SIGTERM."
    )
    parser.add_argument("discovery", metavar="DISCOVERY_URL")
    parser.add_argument("credentials", metavar="CREDENTIALS_FILE", type=Path)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it writes a line for each request
    play(given.discovery, given.credentials)
