"""What the tests of whole reproductions share. Imports wait until they are asked for: torch may be absent."""

import pytest


@pytest.fixture(scope="module")
def spines(tmp_path_factory):
    from .small import write_spines

    return write_spines(tmp_path_factory.mktemp("spines") / "data")


@pytest.fixture
def no_measuring(monkeypatch):
    """Time and memory are measured in ``test_cost.py``; elsewhere they would only take time."""
    from cafrnet.experiments import cost

    monkeypatch.setattr(cost, "_side_by_side", lambda models, threads, rounds: {})
