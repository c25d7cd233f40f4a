"""TensorFlow says nothing and computes the same everywhere."""

import os

import pytest
from hypothesis import HealthCheck, settings

# `--hypothesis-profile long` draws many more settings, other ones each time.
CHECKS = list(HealthCheck)
settings.register_profile("fixed", max_examples=40, derandomize=True, deadline=None, suppress_health_check=CHECKS)
settings.register_profile("long", max_examples=2000, deadline=None, suppress_health_check=CHECKS)
settings.load_profile("fixed")

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("CUDA_VISIBLE_DEVICES", "-1")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # without it, some processors have no convolutions channels first

# Fixtures that run the command line, modules on other Pythons, and pytest itself.
pytest_plugins = ["command", "pairs", "pytester"]
pytest.register_assert_rewrite("model_files", "saved_models")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="Write tests/golden anew.")
