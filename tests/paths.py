"""Where things are."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
REFERENCE = ROOT / "results" / "reference"
DATA = ROOT / "tests" / "data"
