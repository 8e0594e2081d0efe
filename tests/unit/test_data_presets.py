from __future__ import annotations

from pathlib import Path

import pytest

from workbench.data.presets import check_budget, preset
from workbench.errors import ConfigError, UnknownName


def test_a_preset_is_a_chunking_spec() -> None:
    spec = preset("256")
    assert (spec.strategy, spec.max_tokens, spec.overlap_tokens) == ("sentence", 256, 31)
    assert preset("whole").strategy == "whole"


def test_an_unknown_preset_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'whole'"):
        preset("whle")


def test_chunks_longer_than_the_encoder_reads_are_refused() -> None:
    with pytest.raises(ConfigError, match="up to 512 tokens, but the model reads only 256"):
        check_budget(preset("512"), 256)


def test_an_encoder_without_a_limit_takes_every_preset() -> None:
    check_budget(preset("1024"), 0)
    check_budget(preset("256"), 256)
    check_budget(preset("whole"), 256)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ("{strategy: sentence, max_tokens: 8}", "16 or more"),
        ("{strategy: sentence, max_tokens: 64, overlap_tokens: 40}", "at most half"),
        ("{strategy: whole, max_tokens: 64}", "takes neither"),
        ("{strategy: sentence, max_token: 64}", "Did you mean|unknown key"),
    ],
)
def test_a_wrong_preset_says_what_is_wrong(
    facts: str, expected: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "chunking.yaml"
    path.write_text(f"presets: {{mine: {facts}}}", encoding="utf-8")
    monkeypatch.setattr("workbench.data.presets.shipped", lambda _: path)
    with pytest.raises(ConfigError, match=expected):
        preset("mine")
