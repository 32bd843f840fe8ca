"""Hypothesis without deadlines, and `hub`: a double of the Hub that this process and those it starts speak to."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hub import TOKEN, Hub
from huggingface_hub import close_session, constants
from hypothesis import settings

# How long an example takes says how busy the machine is, and nothing about what it shows.
settings.register_profile("suri", deadline=None)
settings.load_profile("suri")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A running double, with an environment in which it is the only Hub and its token the user's."""
    for name in ("HF_HUB_OFFLINE", "HF_OIDC_RESOURCE", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.setenv("HF_HUB_DISABLE_TELEMETRY", "1")
    # What the library reads when it is imported must be set in it too; without telemetry it makes no calls of its own.
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_TELEMETRY", True)
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    close_session()
    with Hub() as double:
        monkeypatch.setenv("HF_ENDPOINT", double.url)
        yield double
        close_session()
