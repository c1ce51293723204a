"""python -m continuousflex_deep COMMAND"""

import sys

from continuousflex_deep.cli import main

sys.exit(main())
