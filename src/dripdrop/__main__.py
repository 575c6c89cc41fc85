"""How is the command line started where its script is not on the path?  `python -m dripdrop`."""

import sys

from dripdrop.cli import main

if __name__ == "__main__":
    sys.exit(main())
