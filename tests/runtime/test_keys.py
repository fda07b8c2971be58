"""Result keys: what results depend on is in the key, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest

from pfp.errors import InputError
from pfp.io.digests import sha256_json
from pfp.runtime.keys import result_keys
from pfp.runtime.stage import Stage
from tests.runtime.numbers_stage import make_inputs, make_stage

STAGE = make_stage(Path("log"))


def keys_of(stage: Stage, inputs: pa.Table) -> list[str]:
    """The keys as a list."""
    keys: list[str] = result_keys(stage, inputs).to_pylist()
    return keys


def test_the_key_is_the_digest_of_record_fingerprint_and_row() -> None:
    """Anyone can compute it again from the rule."""
    row = {"clip_id": "clip-00001", "n": 1, "do": "drop"}
    expected = sha256_json(["storyboard", 1, "square@1", row])
    assert expected == keys_of(STAGE, make_inputs(2, drop=[1]))[1]


def test_the_order_of_columns_and_other_columns_do_not_count() -> None:
    """Only the named columns do, and the input key."""
    inputs = make_inputs(3)
    other = inputs.select(["do", "n", "clip_id"]).append_column("x", pa.array([1, 2, 3]))
    assert keys_of(STAGE, inputs) == keys_of(STAGE, other)


def test_rows_that_differ_in_their_key_only_have_keys_of_their_own() -> None:
    """The input key always counts, though it is not named among the content columns."""
    assert 5 == len(set(keys_of(replace(STAGE, content_columns=("do",)), make_inputs(5))))


@pytest.mark.parametrize("change", [{"fingerprint": "square@2"}, {"content_columns": ("n",)}])
def test_what_results_depend_on_changes_every_key(change: dict[str, object]) -> None:
    """No key survives another fingerprint or another choice of columns."""
    before = set(keys_of(STAGE, make_inputs(4)))
    after = set(keys_of(replace(STAGE, **change), make_inputs(4)))  # type: ignore[arg-type]
    assert set() == before & after


def test_the_name_and_the_resources_of_a_stage_do_not_count() -> None:
    """The same results with other workers are the same results."""
    other = make_stage(Path("elsewhere"), batch_size=9, name="renamed")
    assert keys_of(STAGE, make_inputs(4)) == keys_of(other, make_inputs(4))


def test_a_result_key_of_the_inputs_can_be_content() -> None:
    """A row of an earlier stage is known by its own result key."""
    stage = replace(STAGE, content_columns=("result_key",))
    inputs = make_inputs(2).append_column("result_key", [["a", "b"]])
    changed = make_inputs(2).append_column("result_key", [["a", "c"]])
    before, after = keys_of(stage, inputs), keys_of(stage, changed)
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_a_row_without_a_name_is_refused() -> None:
    """A null in the key column is an input error."""
    inputs = make_inputs(2).set_column(0, "clip_id", pa.array(["a", None]))
    with pytest.raises(InputError, match="1 input rows have no clip_id"):
        keys_of(STAGE, inputs)
