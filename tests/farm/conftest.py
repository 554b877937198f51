from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.farm.local_farm import LocalFarm, local_farm

KEY = "obedient"


@pytest.fixture(scope="package")
def farm() -> Iterator[LocalFarm]:
    """A farm with two slots of an obedient fake device, which every test leaves as it was."""
    with local_farm() as farm:
        farm.serve(KEY, "python:tests.farm.devices:Obedient", slots=2)
        yield farm
