"""The made-up worlds of other tests are bad input's ground."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "court"))
