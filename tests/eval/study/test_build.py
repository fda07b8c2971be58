"""Study folders: blind, whole or absent, the same for the same seed, and refused with the cure."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from pfp.errors import ConfigError, InputError
from pfp.eval.manifest import read_manifest
from pfp.eval.study.build import StudySettings, build_study
from pfp.eval.study.plan import Plan, read_study
from pfp.io import media
from pfp.io.digests import sha256_file
from tests.eval.study.study_by_hand import MODELS, build, write_manifest


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three models on four prompts."""
    return write_manifest(tmp_path_factory.mktemp("videos"))


def public_files(study: Path) -> list[Path]:
    """What would be served."""
    return [path for path in (study / "public").rglob("*") if path.is_file()]


def test_nothing_public_tells_a_model(manifest: Path, tmp_path: Path) -> None:
    """Neither names nor bytes of served files hold a model, a sample id or the key's digests."""
    built = build(manifest, tmp_path / "study")
    files = public_files(tmp_path / "study")
    secrets = [*MODELS, "Aardvark", "manifest"]
    secrets += [source.sample_id for source in built.key.videos.values()]
    secrets += [source.sha256 for source in built.key.videos.values()]
    told = [
        (path, secret)
        for path in files
        for secret in secrets
        if secret in str(path.relative_to(tmp_path)) or secret.encode() in path.read_bytes()
    ]

    assert told == []
    assert list(built.plan.videos) == sorted(built.plan.videos)  # not in the manifest's order
    assert len(files) == 2 + 12
    assert (tmp_path / "study" / "key.json").is_file()
    assert all(re.fullmatch(r"[0-9a-f]{24}\.mp4", name) for name in built.plan.videos)


def test_the_key_names_every_video(manifest: Path, tmp_path: Path) -> None:
    """Through the key each served file is the manifest's file, and each showing two models."""
    built = build(manifest, tmp_path / "study")
    plan, key = read_study(tmp_path / "study")

    assert (plan, key) == (built.plan, built.key)
    for name, source in key.videos.items():
        original = manifest.parent / source.sample_id
        assert original.read_bytes() == (tmp_path / "study/public/videos" / name).read_bytes()
        assert source.sha256 == sha256_file(original)
        assert source.sample_id.startswith(source.model)
    for slot in plan.slots:
        for showing in slot:
            sides = [key.videos[plan.videos[i]] for i in (showing.left, showing.right)]
            assert len({side.model for side in sides}) == 2
            numbers = {side.sample_id.split("/")[1] for side in sides}
            assert numbers == {f"{key.groups[showing.prompt].removeprefix('group-')}.mp4"}


def test_the_page_holds_the_plan_and_needs_nothing(manifest: Path, tmp_path: Path) -> None:
    """The page's plan is study.json, prompts cannot end its script, and no address leads away."""
    built = build(manifest, tmp_path / "study")
    page = (tmp_path / "study/public/index.html").read_text(encoding="utf-8")
    embedded = re.search(r'<script id="plan" type="application/json">(.*?)</script>', page)
    written = json.loads((tmp_path / "study/public/study.json").read_text(encoding="utf-8"))

    assert embedded is not None
    assert json.loads(embedded[1]) == written == json.loads(json.dumps(built.plan.to_json()))
    assert written["prompts"][0]["text"].endswith("</script>")
    assert re.findall(r'(?:src|href)="([^"]*)"', page) == ["data:,", "?"]
    assert "://" not in page


def test_the_seed_makes_the_names(manifest: Path, tmp_path: Path) -> None:
    """The same seed writes the same bytes, another one other names and another study."""
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        build(manifest, tmp_path / name, StudySettings(seed=seed))
    content = {
        name: {path.relative_to(tmp_path / name): path.read_bytes() for path in files}
        for name, files in ((n, public_files(tmp_path / n)) for n in "abc")
    }

    assert content["a"] == content["b"]
    assert not {path for path in content["a"] if path.suffix == ".mp4"} & set(content["c"])
    assert read_study(tmp_path / "a")[0].study != read_study(tmp_path / "c")[0].study


def test_equal_videos_have_names_of_their_own(tmp_path: Path) -> None:
    """Two models that made the same bytes stay two, and look like any other pair."""
    manifest = write_manifest(tmp_path / "videos", num_prompts=1)
    first, second, third = (tmp_path / "videos" / model / "0.mp4" for model in MODELS)
    for path in (second, third):
        path.write_bytes(first.read_bytes())
    built = build(manifest, tmp_path / "study")

    assert len(built.plan.videos) == 3
    assert {source.model for source in built.key.videos.values()} == set(MODELS)


def test_links_take_no_space(manifest: Path, tmp_path: Path) -> None:
    """With links the served files are the manifest's own; copies are files of their own."""
    linked = build(manifest, tmp_path / "linked", StudySettings(link=True))
    copied = build(manifest, tmp_path / "copied")
    for built, folder, num_names in ((linked, "linked", 2), (copied, "copied", 1)):
        for name, source in built.key.videos.items():
            served = tmp_path / folder / "public" / "videos" / name
            assert served.samefile(manifest.parent / source.sample_id) == (num_names == 2)


def test_settings_reach_the_plan(manifest: Path, tmp_path: Path) -> None:
    """Question, buttons, chosen models, numbers and exclusions are those asked for."""
    settings = StudySettings(
        question="Which keeps its people?",
        models=("Cockatrice", "Basilisk-2"),
        excluded={"ghost": "severe artifacts"},
        pairs_per_rater=3,
        num_raters=5,
        repeats_per_rater=1,
        ties=False,
        both_bad=False,
    )
    built = build(manifest, tmp_path / "study", settings)

    assert built.plan.question == "Which keeps its people?"
    assert built.plan.answers == ("a", "b")
    assert {source.model for source in built.key.videos.values()} == {"Cockatrice", "Basilisk-2"}
    assert [len(slot) for slot in built.plan.slots] == [4] * 5
    assert built.key.excluded == {"ghost": "severe artifacts"}


def test_excluded_models_are_not_shown(manifest: Path, tmp_path: Path) -> None:
    """Without a choice all models but the excluded take part."""
    built = build(manifest, tmp_path / "study", StudySettings(excluded={"Basilisk-2": "broken"}))

    assert built.models == ("Aardvark-XL", "Cockatrice")


def test_prompts_need_all_models(manifest: Path, tmp_path: Path) -> None:
    """A prompt on which a model has no video is left out and named; further seeds are cells."""
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    again = [
        {**line, "sample_id": f"again/{line['video']}", "seed": 1}
        for line in lines
        if line["group"] == "group-0"
    ]
    path = manifest.with_name("fewer.jsonl")
    path.write_text("".join(json.dumps(line) + "\n" for line in [*again, *lines[1:]]))
    built = build(path, tmp_path / "study")
    whole = [*again, *lines]
    path.write_text("".join(json.dumps(line) + "\n" for line in whole))
    both = build(path, tmp_path / "both")
    path.write_text("".join(json.dumps(line) + "\n" for line in lines[1:]))
    none = build(path, tmp_path / "none")

    assert built.key.groups == ("group-0", "group-1", "group-2", "group-3")
    assert both.key.groups == ("group-0", "group-0", "group-1", "group-2", "group-3")
    assert none.incomplete == ("group-0",)
    assert none.key.groups == ("group-1", "group-2", "group-3")


def test_folders_are_manifests(manifest: Path, tmp_path: Path) -> None:
    """One folder per model with equal file names is enough."""
    folders = [manifest.parent / model for model in MODELS]
    entries = [sample for folder in folders for sample in read_manifest(folder).samples]
    built = build_study(entries, tmp_path / "study")

    assert built.models == tuple(sorted(MODELS))
    assert built.key.groups == ("0", "1", "2", "3")


@pytest.mark.parametrize("chunk_bytes", [11, 1 << 20])
def test_what_gives_a_model_away_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk_bytes: int
) -> None:
    """A model's name in a video's bytes and videos of another size are named, and only those."""
    monkeypatch.setattr("pfp.eval.study.videos.CHUNK_BYTES", chunk_bytes)
    videos = tmp_path / "videos"
    write_manifest(videos, num_prompts=2)
    odd = videos / "Basilisk-2" / "1.mp4"
    media.write_video(odd, np.zeros((4, 32, 32, 3), np.uint8), 8)
    odd.write_bytes(odd.read_bytes() + b"\x00\x00\x00\x1cfree made by Basilisk-2..")
    built = build(videos / "manifest.jsonl", tmp_path / "study")

    assert built.telling == ("Basilisk-2/1.mp4",)
    assert built.differing == ("group-1",)


def test_what_browsers_do_not_play_is_refused(tmp_path: Path) -> None:
    """Lossless RGB and things that are no video name the sample and the cure; no folder is left."""
    manifest = write_manifest(tmp_path / "videos", num_prompts=1)
    odd = tmp_path / "videos" / "Cockatrice" / "0.mp4"
    media.write_video(odd, np.zeros((4, 48, 80, 3), np.uint8), 8, lossless=True)
    with pytest.raises(InputError, match=r"Cockatrice/0.mp4 .* not every browser plays.*ffmpeg"):
        build(manifest, tmp_path / "study")
    odd.write_text("no video")
    with pytest.raises(InputError, match=r"Cockatrice/0.mp4 .*a study shows MP4 or WebM files"):
        build(manifest, tmp_path / "study")

    assert sorted(path.name for path in tmp_path.iterdir()) == ["videos"]


def test_a_folder_with_something_in_it_is_left_alone(manifest: Path, tmp_path: Path) -> None:
    """Votes may lie there."""
    (tmp_path / "ballots.jsonl").write_text("{}")
    with pytest.raises(InputError, match="give another folder"):
        build(manifest, tmp_path)

    assert [path.name for path in tmp_path.iterdir()] == ["ballots.jsonl"]


@pytest.mark.parametrize(
    ("settings", "cure"),
    [
        (StudySettings(models=("Aardvark-XL", "Dragon")), "no video is of model 'Dragon'"),
        (StudySettings(models=("Aardvark-XL",)), "a study compares models"),
        (StudySettings(models=("Aardvark-XL", "Aardvark-XL")), "named twice"),
        (
            StudySettings(models=("Aardvark-XL", "Basilisk-2"), excluded={"Basilisk-2": "bad"}),
            "chosen and excluded",
        ),
        (StudySettings(question=" "), "the question is empty"),
    ],
)
def test_impossible_choices_are_refused(
    manifest: Path, tmp_path: Path, settings: StudySettings, cure: str
) -> None:
    """Each refusal names what cannot be."""
    with pytest.raises((ConfigError, InputError), match=cure):
        build(manifest, tmp_path / "study", settings)


def test_no_common_prompt_is_refused(manifest: Path, tmp_path: Path) -> None:
    """Videos of different prompts cannot be compared."""
    lines = [json.loads(line) for line in manifest.read_text(encoding="utf-8").splitlines()]
    path = manifest.with_name("apart.jsonl")
    path.write_text("".join(json.dumps({**line, "group": line["video"]}) + "\n" for line in lines))
    with pytest.raises(InputError, match="the samples of one prompt the same"):
        build(path, tmp_path / "study")


def test_files_that_do_not_belong_together_are_refused(manifest: Path, tmp_path: Path) -> None:
    """A changed plan, another study's key and a folder that is none are errors."""
    build(manifest, tmp_path / "one", StudySettings(seed=1))
    build(manifest, tmp_path / "two", StudySettings(seed=2))
    (tmp_path / "one/key.json").write_bytes((tmp_path / "two/key.json").read_bytes())
    with pytest.raises(InputError, match="put back the files"):
        read_study(tmp_path / "one")
    plan = tmp_path / "two/public/study.json"
    plan.write_text(plan.read_text().replace("Which video is better?", "Which one is ours?"))
    with pytest.raises(InputError, match="was changed since it was built"):
        read_study(tmp_path / "two")
    with pytest.raises(InputError, match="cannot be read"):
        read_study(tmp_path)


def test_raters_get_slots() -> None:
    """Codes have their own slots however written, other ids one each that never changes."""
    plan = Plan(question="?", answers=("a", "b"), prompts=(), videos=(), slots=((),) * 12)

    assert plan.codes[0] == "r01"
    assert plan.codes[-1] == "r12"
    assert [plan.slot_of(code) for code in plan.codes] == list(range(12))
    assert [plan.slot_of(name) for name in ("r1", "r0012")] == [0, 11]
    # FNV-1a of "", "a" and "foobar" by its authors' test vectors.
    assert plan.slot_of("a") == 0xE40C292C % 12
    assert plan.slot_of("foobar") == 0xBF9CF968 % 12
    assert {plan.slot_of(f"person {i}") for i in range(200)} == set(range(12))


def test_a_manifest_given_twice_is_refused(manifest: Path, tmp_path: Path) -> None:
    """Its comparisons would be shown twice, and nobody would notice."""
    entries = read_manifest(manifest).samples

    with pytest.raises(InputError, match="is given 2 times; give each manifest once"):
        build_study([*entries, *entries], tmp_path / "study")
