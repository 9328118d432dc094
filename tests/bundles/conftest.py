import pytest

from cafrnet.bundles import places as homes
from handmade_bundle import write_grey_bundle


@pytest.fixture
def home(tmp_path, monkeypatch):
    """An empty place for this user's bundles, and no default bundle."""
    monkeypatch.setenv("CAFRNET_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(homes, "DEFAULT", tmp_path / "no default")
    return tmp_path / "home"


@pytest.fixture(scope="session")
def grey_bundle(tmp_path_factory):
    return write_grey_bundle(tmp_path_factory.mktemp("bundle") / "grey")
