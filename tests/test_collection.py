"""What is skipped in a checkout with no clips beside it: these tests, and no others."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from tests.checkout import REPO

# They need real footage, which nobody may ship in a repository; drawn files test the same code.
NEED_REAL_CLIPS: Final = {
    "tests/caption/backends/test_offline.py": {"test_real_clips_are_described_as_they_look"},
    "tests/caption/test_field_storyboards.py": {
        "test_a_field_storyboard_is_rejected_or_mended",
        "test_every_storyboard_has_an_expectation",
    },
    "tests/eval/test_bad_input.py": {"test_hostile_clips_are_scored_or_told"},
    "tests/ingest/test_backdrop.py": {
        "test_a_blurred_copy_is_filler",
        "test_a_sharp_subject_before_a_blurred_scene_is_no_filler",
        "test_a_short_time_does_not_count",
        "test_a_wide_video_in_an_upright_one_is_told",
        "test_bars_of_one_colour_are_no_backdrop",
        "test_real_frames_are_no_filler",
        "test_the_found_clip_is_told",
    },
    "tests/ingest/test_bars.py": {"test_real_clips_keep_their_frames"},
    "tests/ingest/test_combing.py": {"test_found_clips_are_told"},
    "tests/ingest/test_field_clips.py": {
        "test_a_field_clip_ends_as_it_should",
        "test_a_kind_is_what_the_collection_says",
        "test_every_field_file_has_an_expectation",
        "test_patches_have_the_colours_that_were_drawn",
        "test_the_frame_at_t_seconds_carries_the_number_24_t",
    },
    "tests/ingest/gauges/test_gauges.py": {"test_copies_of_real_frames_that_are_worse"},
    "tests/ingest/test_hostile.py": {
        "test_a_hostile_file_ends_as_it_should",
        "test_duplicates_name_the_clip_that_was_kept",
        "test_every_hostile_file_has_an_expectation",
        "test_every_usable_real_clip_is_kept",
    },
    "tests/ingest/test_shots.py": {
        "test_a_trailer_with_fades_is_taken_apart",
        "test_found_transitions_are_told",
        "test_real_boundaries_are_found_and_no_others",
    },
    "tests/io/media/test_decord.py": {"test_decord_gives_the_frames_that_pyav_gives"},
    "tests/io/media/test_reference.py": {"test_a_film_s_pixels_are_theirs"},
    "tests/io/media/test_sniff.py": {"test_no_real_video_is_taken_for_something_else"},
}
ROOTS: Final = {"shared_clips", "either_file"}


def test_only_tests_of_real_footage_need_clips_beside_the_checkout() -> None:
    """A test that starts to need them is named here, with a drawn one beside it, or draws."""
    found = {
        path.relative_to(REPO).as_posix(): names
        for path in sorted((REPO / "tests").rglob("test_*.py"))
        if (names := set(functions_with(path, ROOTS)))
    }

    assert NEED_REAL_CLIPS == found


def functions_with(path: Path, fixtures: set[str]) -> Iterator[str]:
    """The test functions of a module that take one of these fixtures, also through others."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    known, before = set(fixtures), -1
    while len(known) > before:
        before = len(known)
        known |= {one.name for one in functions if is_fixture(one) and known & words_of(one)}
    yield from (one.name for one in functions if one.name[:5] == "test_" and known & words_of(one))


def is_fixture(function: ast.FunctionDef) -> bool:
    """Whether it is decorated as one."""
    return any("fixture" in ast.unparse(decorator) for decorator in function.decorator_list)


def words_of(function: ast.FunctionDef) -> set[str]:
    """The fixtures that it names as parameters, or asks for while it runs."""
    asked = {
        str(node.args[0].value)
        for node in ast.walk(function)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "getfixturevalue"
        and isinstance(node.args[0], ast.Constant)
    }
    return asked | {argument.arg for argument in function.args.args}
