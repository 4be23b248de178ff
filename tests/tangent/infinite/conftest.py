"""Gives the tests of this folder their reference, which is no test itself."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
