"""A judge by its name on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from pfp.eval.judge.judge import Judge, ModelJudge
from pfp.vlm.load import PROVIDERS, ModelSpec, load_client, read_spec
from pfp.vlm.request import Sampling

MAX_OUTPUT_TOKENS: Final = 4096  # thinking counts, too
QWEN_MAX_OUTPUT_TOKENS: Final = 512  # what VBench-2.0 lets its instance judge write


def load_judge(
    spec: str,
    *,
    cache: str | Path | None = None,
    record: str | Path | None = None,
    device: str | None = None,
    **options: Any,
) -> Judge:
    """The judge that ``spec`` names as ``pfp.vlm.load_client`` has it; no question is asked twice.

    With ``votes=K`` among the options each question is asked K times, and the majority counts.
    Models are asked at temperature 0, or, if there are votes, at their own; option ``temperature``
    names another.

    ``cache``, ``record``, ``device`` and errors are those of ``load_client``. What the spec says
    goes before ``options``.
    """
    read = read_spec(spec, **options)
    client = load_client(
        spec,
        sampling=_defaults(read),
        cache=cache,
        record=record,
        device=device,
        keeps_answers=True,
        **options,
    )
    return ModelJudge(client, num_votes=read.num_votes)


def sampling_of(spec: str) -> dict[str, Any]:
    """What ``spec`` says of ``votes`` and ``temperature``, where it is not one answer at 0.

    Raises as ``load_judge`` does.
    """
    read = read_spec(spec)
    told: dict[str, Any] = {} if read.num_votes == 1 else {"votes": read.num_votes}
    temperature = read.sampling_over(_defaults(read)).temperature
    if temperature != 0:
        told["temperature"] = "the model's own" if temperature is None else temperature
    return told


def _defaults(spec: ModelSpec) -> Sampling:
    is_local = spec.kind is PROVIDERS["qwen"]
    return Sampling(
        temperature=0.0,
        max_output_tokens=QWEN_MAX_OUTPUT_TOKENS if is_local else MAX_OUTPUT_TOKENS,
    )
