import sys
from pathlib import Path

import pytest

from pamir_blender.addon.backend.bundle import read_bundle

sys.path.insert(0, str(Path(__file__).resolve().parent))


@pytest.fixture(autouse=True)
def no_remembered_bundle():
    read_bundle.cache_clear()
    yield
    read_bundle.cache_clear()
