"""Steps of post-processing by name."""

import pytest

from cafrnet.anatomy import NamingOptions
from cafrnet.errors import UsageError


def test_all_is_listed_among_the_steps():
    with pytest.raises(UsageError, match=r"known are kinds, .*sacrum, all$"):
        NamingOptions.without("zzz")
    assert not any(vars(NamingOptions.without("all")).values())
