"""Holes along the column are said, by hand-made pictures; air beside it is not."""

import numpy as np

from cafrnet.inference.voids import void_flags

STEP_MM = (4.0, 1.0)
#: A column in the middle of 7 slices, that leans to the back by 10 mm on 100.
BODIES = np.array([[3.0, 20.0 + 20 * k, 60.0 + 2 * k] for k in range(6)])


def picture():
    """Tissue of 0.4, between air in front of column 30 and behind column 95."""
    images = np.full((7, 140, 128), 0.4, np.float32)
    images[..., :30] = images[..., 95:] = 0.0
    return images


def with_holes(radius, which=range(6)):
    images = picture()
    s, y, x = np.indices(images.shape)
    for k in which:
        away = (s - 3) * 4.0, y - BODIES[k, 1], x - BODIES[k, 2]
        images[sum(a**2 for a in away) <= radius**2] = 0.01
    return images


def test_nothing_is_said_of_tissue_between_air():
    assert void_flags(picture(), BODIES, STEP_MM) == ()


def test_nothing_is_said_of_one_body_or_none():
    assert void_flags(np.zeros((7, 140, 128), np.float32), BODIES[:1], STEP_MM) == ()
    assert void_flags(picture(), BODIES[:0], STEP_MM) == ()


def test_holes_in_all_bodies():
    # Spheres of 8 mm in a tube as wide, one each 20 mm: 4/3 of the radius of each 20 mm, half of it.
    (flag,) = void_flags(with_holes(8.0), BODIES, STEP_MM)
    assert (flag.kind, flag.ids) == ("voids", ())
    assert 0.45 < int(flag.message.split("%")[0]) / 100 < 0.6


def test_a_column_that_is_dark_as_a_whole_has_no_holes():
    dim = picture() * 0.06  # tissue of 0.024
    assert void_flags(dim, BODIES, STEP_MM) == ()
    holes = with_holes(8.0)
    holes[holes == 0.01] = 0.0
    assert len(void_flags(holes * 0.06, BODIES, STEP_MM)) == 1


def test_a_hole_in_one_body_is_none_of_many():
    assert void_flags(with_holes(12.0, [2]), BODIES, STEP_MM) == ()


def test_bodies_in_any_order_and_a_column_beyond_the_picture():
    assert len(void_flags(with_holes(8.0), BODIES[::-1], STEP_MM)) == 1
    assert void_flags(picture(), BODIES + np.array([50.0, 0, 0]), STEP_MM) == ()
