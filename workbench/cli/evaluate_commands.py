"""Commands that measure: evaluate, compare."""

from __future__ import annotations

from typing import Annotated

import typer

from workbench.cli.common import (
    Chunking,
    ConfigFile,
    Home,
    Json,
    OnRay,
    emit,
    print_json,
    session,
    settings,
    wants_json,
)

EvalSetName = Annotated[
    str, typer.Argument(help="Name or folder of a set in BEIR layout, or `python-docs`.")
]
Rerank = Annotated[
    list[str] | None,
    typer.Option("--rerank", help="Measure also with this reranker; repeatable."),
]
StoreKind = Annotated[
    str | None, typer.Option("--store", help="memory (exact) or chroma; default as configured.")
]
ExcludeSelf = Annotated[
    bool, typer.Option("--exclude-self", help="Drop the document whose id is the query's.")
]


def evaluate(
    eval_set: EvalSetName,
    model: Annotated[
        list[str] | None, typer.Option("--model", "-m", help="Model or bm25; repeatable.")
    ] = None,
    chunking: Chunking = None,
    rerank: Rerank = None,
    store: StoreKind = None,
    exclude_self: ExcludeSelf = False,
    ray: OnRay = False,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Measure models on an evaluation set: nDCG, recall and MRR with intervals, all in MLflow."""
    as_json = wants_json(as_json)
    with session(settings(home, config, ray=ray), quiet=as_json) as bench:
        result = bench.evaluate(
            eval_set, models=model, rerankers=(None, *(rerank or ())), chunking=chunking,
            store=store, exclude_self=exclude_self,
        )  # fmt: skip
        emit(result, as_json=as_json)


def compare(
    eval_set: EvalSetName,
    baseline: Annotated[str, typer.Option("--baseline", help="What is in use.")],
    candidate: Annotated[list[str], typer.Option("--candidate", help="What may be better.")],
    chunking: Chunking = None,
    rerank: Rerank = None,
    store: StoreKind = None,
    exclude_self: ExcludeSelf = False,
    ray: OnRay = False,
    home: Home = None,
    config: ConfigFile = None,
    as_json: Json = False,
) -> None:
    """Say whether a candidate is better than the baseline, worse, or not separable.

    Paired randomisation test and bootstrap interval over the same queries, Holm-corrected.
    """
    as_json = wants_json(as_json)
    with session(settings(home, config, ray=ray), quiet=as_json) as bench:
        measured, compared = bench.compare(
            eval_set, baseline=baseline, candidates=candidate, rerankers=(None, *(rerank or ())),
            chunking=chunking, store=store, exclude_self=exclude_self,
        )  # fmt: skip
        if as_json:
            print_json(compared.to_dict())
        else:
            typer.echo(f"{measured}\n\n{compared}")
