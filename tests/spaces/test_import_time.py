"""Listing architectures, spaces and presets loads no TensorFlow."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

LIST_ALL = """
import sys
from spaces import ARCHITECTURES
from spaces.narrowing import make_space
from spaces.presets import PRESETS, preset
import spaces.keras_tuner_space, spaces.network, spaces.saved_model, spaces.weights
import features.cache, features.extractor, features.forward, features.frozen
import search.explain, search.loop, search.preparation
space = make_space(ARCHITECTURES, {}, cheap_cuts=True)
space.to_json(), preset("published", space)
print(sorted({"tensorflow", "keras", "keras_tuner", "torch"} & set(sys.modules)))
"""


def test_listing_what_may_vary_loads_no_network_library() -> None:
    told = subprocess.run([sys.executable, "-c", LIST_ALL], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert told.stdout == "[]\n"
