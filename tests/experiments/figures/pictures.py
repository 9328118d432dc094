"""Looking at a PNG as a test can."""

from pathlib import Path

import numpy as np
from PIL import Image

from cafrnet.experiments.figures.drawing import Drawn


def drawn_well(drawn: Drawn, *words: str) -> np.ndarray:
    """Check that a figure is a picture with something on it, and its caption says the words; return it."""
    picture = np.asarray(Image.open(drawn.path).convert("RGB"))
    assert min(picture.shape[:2]) > 100
    assert picture.std() > 5
    assert drawn.path.with_suffix(".txt").read_text() == drawn.caption + "\n"
    for word in words:
        assert word in drawn.caption, drawn.caption
    assert not list(Path(drawn.path).parent.glob(".*"))
    return picture
