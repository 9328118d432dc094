import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="the 'train' extra is not installed")

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
