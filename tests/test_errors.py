"""One root, and messages that say what to do."""

import pytest

from cafrnet import errors
from cafrnet.errors import CAFRNetError, InputError, MissingExtraError, UsageError, nearest


def test_one_root():
    kinds = [v for v in vars(errors).values() if isinstance(v, type) and issubclass(v, Exception)]
    assert {InputError, UsageError, MissingExtraError} <= set(kinds)
    assert all(issubclass(kind, CAFRNetError) for kind in kinds)
    assert not issubclass(InputError, UsageError)


def test_a_missing_extra_names_the_command_that_installs_it():
    message = str(MissingExtraError("reading MHA", "itk"))
    assert message.startswith("reading MHA needs the 'itk' extra")
    assert message.endswith("pip install 'cafrnet[itk]'")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("spyder", "; did you mean 'spider'?"),
        ("zzz", "; known are spider, verse"),
        (7, "; known are spider, verse"),
    ],
)
def test_nearest(word, expected):
    assert nearest(word, ["spider", "verse"]) == expected
