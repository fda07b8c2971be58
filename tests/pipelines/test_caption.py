"""The caption stage over a run directory."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pfp.caption import Captioner, caption_clip, load_prompt
from pfp.caption.backends.vlm import VlmBackend
from pfp.caption.prompt import answer_schema
from pfp.cli.main import main as pfp_main
from pfp.cli.settings import with_settings
from pfp.errors import ConfigError, NothingUsable
from pfp.io.digests import sha256_file
from pfp.io.media import path_to_uri, write_video
from pfp.io.tables import read_records, verify_table, write_table
from pfp.runtime import StageReport
from pfp.runtime.run import Engine
from pfp.schema import KEPT, ClipRecord, Dropped, Failed, StoryboardRecord, VideoRecord
from pfp.vlm import Request
from pfp.vlm.video_frames import FrameReader
from pipelines.caption.config import PRESETS, CaptionConfig, debug, demo, route_of, split_route
from pipelines.caption.run import main, run
from pipelines.caption.stages import caption_inputs
from tests.vlm.gemini_server import GeminiServer, answer, error
from tests.vlm.openai_server import OpenAIServer, completion
from tests.vlm.scripted import ScriptedClient

COLOURS = {"blue": (40, 70, 200), "green": (40, 160, 60), "red": (200, 30, 30)}
SECONDS = 4.0
REPO = Path(__file__).parents[2]
SHOTS = [{"index": 1, "caption": "A wall."}, {"index": 2, "caption": "A door."}]
TEXT = json.dumps({"shots": SHOTS, "global_caption": "A house."})


@pytest.fixture(scope="session")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three plain videos of four seconds."""
    folder = tmp_path_factory.mktemp("videos")
    for name, rgb in COLOURS.items():
        frames_THWC = np.broadcast_to(np.array(rgb, np.uint8), (24, 48, 64, 3)).copy()
        write_video(folder / f"{name}.mp4", frames_THWC, 6)
    return folder


@pytest.fixture
def run_directory(videos: Path, tmp_path: Path) -> Path:
    """A run directory: three kept clips, and a dropped one."""
    folder = tmp_path / "videos"
    shutil.copytree(videos, folder)
    clips = [_clip(folder / f"{name}.mp4") for name in COLOURS]
    dark = Dropped(reason="luma_below_min", detail="too dark", score=1.0, threshold=8.0)
    dropped = replace(clips[0], clip_id="dark", video_uri="file:///dark.mp4", verdict=dark)
    out = tmp_path / "run"
    write_table(out / "clips", ClipRecord.table([*clips, dropped]), ClipRecord)
    known = ("video_uri", "video_sha256", "size_bytes", "verdict")
    videos_of = [VideoRecord(**{name: getattr(clip, name) for name in known}) for clip in clips]
    write_table(out / "videos", VideoRecord.table(videos_of), VideoRecord)
    return out


def _clip(path: Path) -> ClipRecord:
    shots = [
        {"start_seconds": 0.0, "end_seconds": 1.5, "kind": "start"},
        {"start_seconds": 1.5, "end_seconds": SECONDS, "kind": "cut"},
    ]
    return ClipRecord(
        clip_id=path.stem,
        video_uri=path_to_uri(path),
        video_sha256=sha256_file(path),
        size_bytes=path.stat().st_size,
        start_seconds=0.0,
        end_seconds=SECONDS,
        shots=shots,
        verdict=KEPT,
    )


def _write_storyboard(out: Path, name: str, caption: str) -> None:
    shots = [{"start_seconds": 0.0, "end_seconds": SECONDS, "caption": caption}]
    board = {"schema_version": 1, "global_caption": None, "shots": shots}
    path = out.parent / "videos" / f"{name}.storyboard.json"
    path.write_text(json.dumps(board), encoding="utf-8")


def _run(out: Path, config: CaptionConfig, engine: Engine = "local") -> StageReport:
    (report,) = run(config, input_directory=str(out), output_directory=str(out), engine=engine)
    return report


def _rows(out: Path) -> dict[str, StoryboardRecord]:
    return {row.clip_id: row for row in read_records(out / "storyboards", StoryboardRecord)}


class TestDemo:
    """Storyboard files first, measured descriptions elsewhere."""

    def test_every_kept_clip_gets_its_row(self, run_directory: Path) -> None:
        """A clip with a storyboard takes it, the others are measured, a dropped one is left out."""
        _write_storyboard(run_directory, "green", "A lawn.")

        report = _run(run_directory, demo())

        rows = _rows(run_directory)
        assert (report.rows_in, report.kept, report.computed) == (3, 3, 3)
        assert sorted(rows) == ["blue", "green", "red"]
        assert rows["green"].backend == "sidecar"
        assert [shot["caption"] for shot in rows["green"].shots] == ["A lawn."]
        assert rows["red"].backend == "offline"
        assert [shot["start_seconds"] for shot in rows["red"].shots] == [0.0, 1.5]
        assert all("mostly red" in shot["caption"] for shot in rows["red"].shots)
        assert verify_table(run_directory / "storyboards", StoryboardRecord) == []

    def test_report_is_merged_into_the_summary(self, run_directory: Path) -> None:
        """The run directory says what the stage did."""
        _run(run_directory, demo())

        summary = json.loads((run_directory / "summary.json").read_text())
        assert summary["stages"]["caption"]["kept"] == 3

    def test_edited_storyboard_recomputes_its_row_only(self, run_directory: Path) -> None:
        """Adding, editing and removing a file each cost one row; nothing else costs any."""
        assert _run(run_directory, demo()).computed == 3
        steps = []
        for caption in ("A lawn.", "A meadow.", None, None):
            if caption is not None:
                _write_storyboard(run_directory, "green", caption)
            else:
                (run_directory.parent / "videos/green.storyboard.json").unlink(missing_ok=True)
            report = _run(run_directory, demo())
            row = _rows(run_directory)["green"]
            steps.append((report.computed, report.reused, row.backend, row.shots[0]["caption"][:9]))

        assert steps == [
            (1, 2, "sidecar", "A lawn."),
            (1, 2, "sidecar", "A meadow."),
            (1, 2, "offline", "An evenly"),
            (0, 3, "offline", "An evenly"),
        ]

    def test_mistake_in_a_storyboard_costs_its_row_only(self, run_directory: Path) -> None:
        """The row says what is wrong with the file."""
        _write_storyboard(run_directory, "green", "A lawn.")
        path = run_directory.parent / "videos/green.storyboard.json"
        path.write_text(path.read_text().replace("4.0", "40.0"))

        report = _run(run_directory, demo())

        assert (report.kept, report.dropped) == (2, 1)
        assert report.reasons == {"shot_out_of_bounds": 1}
        assert _rows(run_directory)["green"].verdict == Dropped(
            reason="shot_out_of_bounds",
            detail="shot 1 (0.0 to 40.0 s) leaves the clip (0.0 to 4.0 s)",
            score=36.0,
            threshold=0.5,
        )

    def test_storyboard_of_two_videos_costs_their_rows(self, run_directory: Path) -> None:
        """Neither gets it, nobody else is asked, and both say what to call it; naming it cures."""
        _write_storyboard(run_directory, "green", "A lawn.")
        folder = run_directory.parent / "videos"
        shutil.copy(folder / "green.mp4", folder / "green.mkv")

        report = _run(run_directory, demo())

        assert report.reasons == {"storyboard_ambiguous": 1}
        verdict = _rows(run_directory)["green"].verdict
        assert verdict == Dropped(
            reason="storyboard_ambiguous",
            detail="green.storyboard.json may belong to green.mkv and green.mp4; name its video "
            "in it: green.mp4.storyboard.json",
        )
        (folder / "green.storyboard.json").rename(folder / "green.mp4.storyboard.json")
        assert _run(run_directory, demo()).kept == 3
        assert _rows(run_directory)["green"].shots[0]["caption"] == "A lawn."

    def test_notice_is_in_the_row_and_counted(
        self, run_directory: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """What may be cut off is kept, and said in the report, the summary and the clip's story."""
        _write_storyboard(run_directory, "green", "A lawn, and behind it,")

        report = _run(run_directory, demo())

        assert (report.kept, report.noticed) == (3, 1)
        assert "3 kept, 0 dropped, 0 failed, 1 kept with a notice (pfp why)" in report.line()
        summary = json.loads((run_directory / "summary.json").read_text())
        assert summary["stages"]["caption"]["noticed"] == 1
        assert pfp_main(["why", "green", "--run", str(run_directory)]) == 0
        told = "sidecar: notice: caption 1 may be cut off: it ends with ','"
        assert told in capsys.readouterr().out

    def test_video_that_is_gone_costs_its_row_only(self, run_directory: Path) -> None:
        """The reason is in the row."""
        (run_directory.parent / "videos/red.mp4").unlink()

        report = _run(run_directory, demo())

        verdict = _rows(run_directory)["red"].verdict
        assert (report.kept, report.failed) == (2, 1)
        assert isinstance(verdict, Failed)
        assert "there is no file" in verdict.message

    @pytest.mark.parametrize("engine", ["local", pytest.param("ray", marks=pytest.mark.slow)])
    @pytest.mark.parametrize("kind", ["size", "bytes", "bytes and time"])
    def test_a_replaced_video_is_not_captioned(
        self, run_directory: Path, request: pytest.FixtureRequest, kind: str, engine: Engine
    ) -> None:
        """Neither by its own storyboard nor by its looks; put back, it is tried again."""
        if engine == "ray":
            request.getfixturevalue("ray_cluster")
        _write_storyboard(run_directory, "green", "A lawn.")
        path = run_directory.parent / "videos/green.mp4"
        before, times = path.read_bytes(), path.stat()
        other = (path.parent / "red.mp4").read_bytes()
        path.write_bytes(other if kind == "size" else before[:-1] + b"?")
        if kind == "bytes and time":
            os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

        report = _run(run_directory, demo(), engine)

        row = _rows(run_directory)["green"]
        assert (report.kept, report.failed) == (2, 1)
        assert isinstance(row.verdict, Failed)
        assert (row.verdict.error, row.verdict.retryable) == ("FileChangedError", True)
        assert "green.mp4 is not the file that was ingested" in row.verdict.message
        path.write_bytes(before)
        assert _run(run_directory, demo(), engine).kept == 3

    @pytest.mark.parametrize(
        ("change", "computed"),
        [
            ("rules.min_coverage=0.5", 3),
            ("max_span_seconds=1", 3),
            ("route=offline", 3),
            ("sampling.fps=2", 0),  # no model is asked
            ("batch_size=1", 0),
            ("decode_timeout_seconds=30", 0),
        ],
    )
    def test_settings_recompute_what_depends_on_them(
        self, run_directory: Path, change: str, computed: int
    ) -> None:
        """Rules, cuts and route make other storyboards; patience and batches do not."""
        _run(run_directory, demo())

        assert _run(run_directory, with_settings(demo(), [change])).computed == computed

    @pytest.mark.usefixtures("ray_cluster")
    def test_ray_gives_the_same_table(self, run_directory: Path) -> None:
        """The same bytes as in this process."""
        _run(run_directory, demo())
        files = sorted((run_directory / "storyboards").glob("*.parquet"))
        expected = [path.read_bytes() for path in files]
        shutil.rmtree(run_directory / "storyboards")

        report = _run(run_directory, demo(), engine="ray")

        files = sorted((run_directory / "storyboards").glob("*.parquet"))
        assert (report.computed, report.kept) == (3, 3)
        assert [path.read_bytes() for path in files] == expected


class TestGemini:
    """A server's answers through the whole stage."""

    @pytest.fixture
    def server(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[GeminiServer]:
        """A Gemini that describes two shots."""
        monkeypatch.setenv("GEMINI_API_KEY", "key-for-tests")
        with GeminiServer() as running:
            running.script(answer(TEXT, tokens={"TEXT": 300, "VIDEO": 4 * 70}))
            yield running

    @staticmethod
    def _config(server: GeminiServer, **changes: Any) -> CaptionConfig:
        full = PRESETS["full"]()
        return replace(
            full,
            route=f"{full.route},base_url={server.base_url}",
            request_attempts=1,
            num_workers=1,
            **changes,
        )

    def test_clips_are_asked_about_at_once(self, run_directory: Path, server: GeminiServer) -> None:
        """Up to max_concurrency, each with its own answer, tokens and cost."""
        server.hold_until_open = 2

        report = _run(run_directory, self._config(server, max_concurrency=2))

        row = _rows(run_directory)["blue"]
        assert report.kept == 3
        assert server.most_open == 2
        assert [shot["caption"] for shot in row.shots] == ["A wall.", "A door."]
        assert (row.backend, row.model, row.tokens_video) == ("gemini", "gemini-test-001", 280)
        assert row.cost_usd == pytest.approx((580 * 0.75 + 40 * 3.75) / 1e6)

    def test_busy_server_costs_only_its_rows_and_only_now(
        self, run_directory: Path, server: GeminiServer
    ) -> None:
        """What failed for want of a server is asked again by the next run, the rest is not."""
        good = server.replies[0]
        server.script(good, error(503, "UNAVAILABLE", "overloaded"), good)
        config = self._config(server, max_concurrency=1)

        first = _run(run_directory, config)
        second = _run(run_directory, config)

        assert (first.kept, first.failed, first.reasons) == (2, 1, {"RetryableError": 1})
        assert (second.kept, second.reused, second.computed) == (3, 2, 1)

    def test_answer_with_no_text_is_no_failure_for_good(
        self, run_directory: Path, server: GeminiServer
    ) -> None:
        """An empty answer with STOP costs its row now; the next run asks again."""
        good = server.replies[0]
        server.script(good, answer("", tokens={"TEXT": 300, "VIDEO": 4 * 70}), good)
        config = self._config(server, max_concurrency=1)

        first = _run(run_directory, config)
        second = _run(run_directory, config)

        assert (first.kept, first.failed, first.reasons) == (2, 1, {"Unfinished": 1})
        assert (second.kept, second.reused, second.computed) == (3, 2, 1)

    def test_quota_of_the_day_is_tried_again_by_any_later_run(
        self, run_directory: Path, server: GeminiServer
    ) -> None:
        """However many runs it takes: the rows were not tried, so no attempt counts."""
        good = server.replies[0]
        server.script(error(429, "RESOURCE_EXHAUSTED", "Quota exceeded: 20 requests per day"))
        config = self._config(server, max_concurrency=1)

        reports = [_run(run_directory, config) for _ in range(4)]
        server.script(good)

        assert [report.reasons for report in reports] == [{"AccountError": 3}] * 4
        assert _run(run_directory, config).kept == 3

    def test_missing_key_stops_the_stage_before_any_work(
        self, run_directory: Path, server: GeminiServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """No row is marked as failed for it."""
        monkeypatch.delenv("GEMINI_API_KEY")

        with pytest.raises(ConfigError, match="GEMINI_API_KEY is not set"):
            _run(run_directory, self._config(server))

        assert not (run_directory / "storyboards").exists()


class TestEveryProvider:
    """The same request for a storyboard, whoever answers, by name on the command line."""

    @pytest.fixture
    def one_clip(self, run_directory: Path) -> Path:
        """A run directory with the red clip only."""
        clips = read_records(run_directory / "clips", ClipRecord)
        red = [clip for clip in clips if clip.clip_id == "red"]
        shutil.rmtree(run_directory / "clips")
        write_table(run_directory / "clips", ClipRecord.table(red), ClipRecord)
        return run_directory

    @staticmethod
    def _caption(out: Path, *arguments: str) -> StoryboardRecord:
        preset = ["--preset", "small", "--output", str(out), "--engine", "local"]
        assert main([*preset, *arguments]) == 0
        return _rows(out)["red"]

    @staticmethod
    def _request(out: Path) -> Request:
        """What a model is asked about the clip, as the stage builds it."""
        config = PRESETS["small"]()
        client = ScriptedClient([TEXT])
        client.sampling = config.sampling
        captioner = Captioner(
            backends=[VlmBackend(client)], prompt=load_prompt(config.prompt), rules=config.rules
        )
        (row,) = caption_inputs(f"{out}/clips", config).to_pylist()
        captioner.caption(caption_clip(row, max_span_seconds=config.max_span_seconds))
        return client.asked[0]

    @staticmethod
    def _check(row: StoryboardRecord, backend: str) -> None:
        assert [shot["caption"] for shot in row.shots] == ["A wall.", "A door."]
        assert [shot["start_seconds"] for shot in row.shots] == [0.0, 1.5]
        assert (row.verdict, row.backend, row.raw_answer) == (KEPT, backend, TEXT)
        assert row.prompt_sha256 == load_prompt("storyboard@1").sha256
        assert row.sampling is not None
        assert json.loads(row.sampling)["fps"] == 1.0

    def test_gemini_writes_storyboards(
        self, one_clip: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """It is sent the video, and the prompt as it is."""
        monkeypatch.setenv("GEMINI_API_KEY", "key-for-tests")
        prompt = self._request(one_clip).prompt
        with GeminiServer() as server:
            server.script(answer(TEXT, tokens={"TEXT": 300, "VIDEO": 4 * 66}))
            backend = f"gemini:gemini-2.5-flash#base_url={server.base_url}"

            row = self._caption(one_clip, "--backend", backend)

        video, text = server.requests[0].body["contents"][0]["parts"]
        assert (video["inlineData"]["mimeType"], text["text"]) == ("video/mp4", prompt)
        self._check(row, "gemini")

    def test_an_openai_server_writes_storyboards(self, one_clip: Path) -> None:
        """It is sent frames, with their times before the prompt, and the schema."""
        prompt = self._request(one_clip).prompt
        with OpenAIServer() as server:
            server.script(completion(TEXT))

            row = self._caption(one_clip, "--backend", f"openai:a-model@{server.base_url}")

        (sent,) = server.sent
        *images, text = sent.body["messages"][0]["content"]
        times = "0.00 s, 1.00 s, 2.00 s, 3.00 s"
        introduction = f"The video is shown as 4 frames, taken at these times: {times}."
        assert [image["type"] for image in images] == ["image_url"] * 4
        assert text["text"] == f"{introduction}\n\n{prompt}"
        schema = sent.body["response_format"]["json_schema"]
        assert (schema["name"], schema["schema"]) == ("storyboard", answer_schema(2))
        self._check(row, "openai")

    def test_a_local_qwen_writes_storyboards(self, one_clip: Path, tmp_path: Path) -> None:
        """A checkpoint in a folder, through transformers' own classes."""
        pytest.importorskip("transformers")
        from tests.vlm.tiny_qwen import save_qwen

        shown = FrameReader().frames_request(self._request(one_clip))
        save_qwen(tmp_path / "tiny-qwen", shown, TEXT)

        row = self._caption(one_clip, "--backend", f"qwen:{tmp_path / 'tiny-qwen'}")

        assert (row.model, row.cost_usd) == ("tiny-qwen", None)
        self._check(row, "qwen")

    def test_kept_answers_are_used_again_and_replayed(self, one_clip: Path, tmp_path: Path) -> None:
        """Other rules ask nobody, and the file alone gives the same storyboard."""
        path = tmp_path / "answers.jsonl"
        keep = ["--set", f"answers={path}"]
        with OpenAIServer() as server:
            server.script(completion(TEXT))
            backend = ["--backend", f"openai:a-model@{server.base_url}"]
            first = self._caption(one_clip, *backend, *keep)
            again = self._caption(one_clip, *backend, *keep, "--set", "rules.min_coverage=0.5")

        replayed = self._caption(one_clip, "--backend", f"replay:{path}")

        assert len(server.sent) == 1
        assert first.shots == again.shots == replayed.shots
        self._check(first, "openai")
        self._check(replayed, "replay")
        assert (replayed.model, replayed.sampling) == (first.model, first.sampling)

    def test_kept_answer_that_cannot_be_read_is_no_failure_for_good(
        self, one_clip: Path, tmp_path: Path
    ) -> None:
        """It stays in the file, and the next run asks the model again; that answer is kept, too."""
        keep = ["--set", f"answers={tmp_path / 'answers.jsonl'}"]
        with OpenAIServer() as server:
            backend = ["--backend", f"openai:a-model@{server.base_url}"]
            server.script(completion("{"))
            first = self._caption(one_clip, *backend, *keep)
            server.script(completion(TEXT))
            second = self._caption(one_clip, *backend, *keep)
            third = self._caption(one_clip, *backend, *keep, "--set", "rules.min_coverage=0.5")

        assert isinstance(first.verdict, Failed)
        assert (first.verdict.error, first.verdict.retryable) == ("UnreadableStoryboard", True)
        assert [second.verdict, third.verdict] == [KEPT, KEPT]
        assert len(server.sent) == 3

    def test_backends_are_asked_in_order(self, one_clip: Path) -> None:
        """The option may be given several times."""
        row = self._caption(one_clip, "--backend", "sidecar", "--backend", "fake:always-yes")

        assert row.backend == "fake"
        assert [shot["caption"] for shot in row.shots] == [
            "This is fake text number 1.",
            "This is fake text number 2.",
        ]


@pytest.mark.parametrize(
    ("route", "expected"),
    [
        ("sidecar, offline,", ("sidecar", "offline")),
        ("a,gemini:M#x=1,y=2,b", ("a", "gemini:M#x=1,y=2", "b")),
        ("gemini:M#x=1,openai:N@http://h/?a=b", ("gemini:M#x=1", "openai:N@http://h/?a=b")),
        ("gemini:M#x=1,openai:N@http://h#y=2", ("gemini:M#x=1", "openai:N@http://h#y=2")),
        ("", ()),
    ],
)
def test_route_is_names_with_commas_between_them(route: str, expected: tuple[str, ...]) -> None:
    """Options have commas, too: they hold an equals sign."""
    assert split_route(route) == expected


def test_names_make_a_route_that_gives_them_back() -> None:
    """Commas of options are theirs."""
    names = ("sidecar", "gemini:M#x=1,y=2", "qwen:a folder", "offline")

    assert split_route(route_of(names)) == names


def test_every_rule_about_words_is_explained() -> None:
    """Each reason that a storyboard can be dropped for because of its words is in the README."""
    sources = ("caption_text", "validate")
    text = "".join((REPO / f"pfp/caption/{name}.py").read_text() for name in sources)
    rules = set(re.findall(r'"(captions?_[a-z_]+)"', text))

    readme = (REPO / "pipelines/caption/README.md").read_text()
    assert sorted(rule for rule in rules if f"| `{rule}` |" not in readme) == []
    assert len(rules) >= 9


class TestCommandLine:
    """``python -m pipelines.caption``."""

    def test_good_run_ends_with_0(self, run_directory: Path) -> None:
        """And has written its table."""
        arguments = ["--preset", "debug", "--output", str(run_directory), "--engine", "local"]

        assert main(arguments) == 0
        assert len(_rows(run_directory)) == 3

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["--set", "route=sidecar,ofline"], "'ofline' is unknown; write one of sidecar, offl"),
            (["--backend", "gemini"], "'gemini' is incomplete; write gemini:MODEL"),
            (["--backend", "qwen:nowhere"], "nowhere/config.json cannot be read; give the folder"),
            (["--backend", "qwen:/a,b"], "'qwen:/a,b' is not one name: commas stand between"),
            (["--backend", "sidecar,offline"], "give the option once for each name"),
            (["--backend", ""], "--backend '' is not one name"),
            (
                ["--backend", "fake:always-yes", "--set", "answers=/dev/null/a"],
                "/dev/null/a cannot be written (its folder is a file); give another path for",
            ),
            (["--set", "model=m"], "there is no 'model'; use one of route"),
            (["--set", "route="], "the caption route names no backend"),
            (["--set", "prompt=haiku@1"], "prompt 'haiku@1' is unknown"),
            (["--set", "fps=2"], "--set fps: there is no 'fps'; use one of route, req"),
            (["--set", "sampling=2"], "name one setting, for example sampling.fps=2"),
            (["--set", "batch_size"], "has no value; write key=value"),
            (["--set", "batch_size=many"], "--set batch_size=many: give a value of type int"),
            (["--set", "batch_size=0"], "batch_size is 0"),
            (["--set", "max_concurrency=0"], "max_concurrency is 0"),
            (["--set", "max_span_seconds=.nan"], "max_span_seconds is nan"),
            (["--set", "sampling.fps=99"], "sampling fps 99.0 is not in (0, 24]"),
            (["--input", "nowhere"], "nowhere/clips"),
        ],
    )
    def test_bad_input_is_one_sentence_and_2(
        self,
        run_directory: Path,
        capsys: pytest.CaptureFixture[str],
        arguments: list[str],
        message: str,
    ) -> None:
        """No traceback."""
        status = main(["--output", str(run_directory), "--engine", "local", *arguments])

        err = capsys.readouterr().err
        assert status == 2
        assert message in err
        assert err.startswith("caption: ")
        assert len(err.strip().splitlines()) == 1

    def test_run_without_a_kept_clip_has_nothing_to_do(self, run_directory: Path) -> None:
        """That is said, and is not a success."""
        clips = read_records(run_directory / "clips", ClipRecord, verdict="dropped")
        write_table(run_directory / "clips", ClipRecord.table(clips), ClipRecord)

        with pytest.raises(NothingUsable, match="clips holds no kept clip"):
            _run(run_directory, demo())


def test_settings_take_values_of_their_type() -> None:
    """Numbers, null and text, also within a part."""
    config = with_settings(
        debug(),
        ["max_span_seconds=4", "answers=null", "sampling.media_resolution=high", "device=3.5"],
    )

    assert config == replace(
        debug(),
        max_span_seconds=4.0,
        device="3.5",
        sampling=replace(debug().sampling, media_resolution="high"),
    )
