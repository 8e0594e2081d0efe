"""Packaging says one thing in one place, and importing the package stays light."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parent.parent.parent
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = {
    str(canonicalize_name(r.name)): r
    for r in (Requirement(line) for line in PROJECT["dependencies"])
}
FIXED = {
    "ray", "jupyterlab", "ipywidgets", "datasets", "sentence-transformers", "openai", "chromadb",
    "pandas", "matplotlib", "mlflow",
}  # fmt: skip
HEAVY = {
    "ray", "mlflow", "torch", "chromadb", "sentence_transformers", "datasets", "openai",
    "matplotlib", "ipywidgets", "pandas", "sqlalchemy",
}  # fmt: skip


def locked() -> dict[str, tuple[str, str]]:
    """Name → (version, the rest of its entry) of every pin in requirements.lock."""
    text = (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    entries = re.split(r"\n(?=\S)", "\n".join(lines).strip())
    pins = {}
    for entry in entries:
        match = re.match(r"([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;\\]+)", entry)
        assert match, f"not a pin: {entry[:80]!r}"
        pins[str(canonicalize_name(match[1]))] = (match[2], entry[match.end() :])
    return pins


def test_conda_and_pyproject_agree_on_python_and_conda_pins_nothing_else() -> None:
    environment = yaml.safe_load((CHECKOUT / "environment.yml").read_text(encoding="utf-8"))
    python, pip, nested = environment["dependencies"]
    name, _, version = python.partition("=")
    assert (name, pip, nested) == ("python", "pip", {"pip": ["-e ."]})
    assert SpecifierSet(PROJECT["requires-python"]).contains(version)
    assert f"Programming Language :: Python :: {version}" in PROJECT["classifiers"]


def test_the_packages_that_users_build_on_are_declared() -> None:
    assert set(DECLARED) >= FIXED


def test_the_lock_pins_every_dependency_with_a_hash_and_names_no_host() -> None:
    pins = locked()
    # torch has another wheel, and another hash, on another platform; `make setup` installs it.
    for name, requirement in DECLARED.items():
        if name == "torch":
            continue
        assert name in pins, f"{name} is declared and not locked: run `make lock`"
        assert requirement.specifier.contains(pins[name][0]), f"{name}: run `make lock`"
    assert "torch" not in pins
    assert [name for name, (_, rest) in pins.items() if "--hash=sha256:" not in rest] == []
    assert "://" not in (CHECKOUT / "requirements.lock").read_text(encoding="utf-8")


def test_the_model_packages_of_the_extra_are_locked_too() -> None:
    pins = locked()
    for line in PROJECT["optional-dependencies"]["models"]:
        wanted = Requirement(line)
        assert wanted.specifier.contains(pins[str(canonicalize_name(wanted.name))][0])


def test_make_installs_the_torch_that_pyproject_declares() -> None:
    makefile = (CHECKOUT / "Makefile").read_text(encoding="utf-8")
    assert f"TORCH := {DECLARED['torch']}" in makefile


@pytest.mark.parametrize("module", ["workbench", "workbench.cli.main"])
def test_importing_loads_nothing_heavy(module: str) -> None:
    code = f"import json, sys, {module}; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=CHECKOUT
    )
    assert HEAVY & set(json.loads(done.stdout)) == set()


def test_the_licence_is_the_one_that_is_declared() -> None:
    text = (CHECKOUT / "LICENSE").read_text(encoding="utf-8")
    assert PROJECT["license"] == "Apache-2.0"
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
