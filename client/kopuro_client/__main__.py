"""`python -m kopuro_client` is the `kopuro` command."""

import sys

from kopuro_client.commands import main

if __name__ == "__main__":
    sys.exit(main())
