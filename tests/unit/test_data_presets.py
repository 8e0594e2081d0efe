from __future__ import annotations

from pathlib import Path

import pytest

from workbench.config import ChunkingPreset
from workbench.data.presets import check_budget, overlap_advice, preset
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
        ("{strategy: sentence, max_tokens: 8}", "16 tokens or more; found 8"),
        ("{strategy: sentence, max_tokens: 64, overlap_tokens: 40}", "more than half"),
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


def test_sizes_are_a_chunking_too() -> None:
    assert (preset("200").max_tokens, preset("200").overlap_tokens) == (200, 24)
    assert preset("200:30").overlap_tokens == 30
    assert preset("200").name == "200"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1", "16 tokens or more; found 1"),
        ("256:256", "more than half of the 256 tokens"),
        ("0", "16 tokens or more; found 0"),
    ],
)
def test_impossible_sizes_say_why(name: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        preset(name)


def test_presets_of_the_configuration_win() -> None:
    own = {"256": ChunkingPreset(strategy="sentence", max_tokens=100, header="{headings}: ")}
    assert preset("256", own).max_tokens == 100
    assert preset("128", own).max_tokens == 128


def test_only_an_unusual_overlap_is_worth_a_word() -> None:
    assert [overlap_advice(preset(name)) for name in ("whole", "128", "256", "512", "1024")] == [
        ""
    ] * 5
    assert "repeats 2% of a chunk (5 of 256 tokens)" in overlap_advice(preset("256:5"))
    assert "repeats 39%" in overlap_advice(preset("256:100"))
