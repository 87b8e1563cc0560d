"""``python -m diagmem``: the command line."""

import sys

from diagmem.cli.main import main

sys.exit(main())
