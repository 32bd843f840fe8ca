"""The tests of training are without the Hub, in this process and in those they start."""

import os

from huggingface_hub import constants


def test_the_hub_is_out_of_reach() -> None:
    assert os.environ["HF_HUB_OFFLINE"] == "1"
    assert constants.is_offline_mode()
