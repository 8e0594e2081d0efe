"""``workbench demo``: the main job on real input."""

from __future__ import annotations

from workbench.cli.common import ConfigFile, Home, Json, emit, session, settings, wants_json


def demo(home: Home = None, config: ConfigFile = None, as_json: Json = False) -> None:
    """Index real text on Ray actors and compare models on two evaluation sets.

    Real input, real components, no key and no network: the docstrings of the installed packages
    are chunked, embedded and stored in Chroma; 150 known-item queries measure the cheap and the
    standard model, with and without reranking. Then the handbook that ships, with judged queries.
    Every run is in MLflow. The second run encodes nothing.
    """
    as_json = wants_json(as_json)
    from workbench.demo import run_demo

    with session(settings(home, config, ray=True), quiet=as_json) as bench:
        emit(run_demo(bench), as_json=as_json)
