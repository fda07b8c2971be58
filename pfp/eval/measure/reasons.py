"""Why a metric that looked at a video has no value: one word in the row, a sentence for people."""

from __future__ import annotations

import re
from typing import Final

REASONS: Final = {
    "no_face": "no face is large enough to be told apart",
    "no_reference_face": "no image says who it should be, add `reference_faces` to the manifest",
    "no_face_in_first_frame": "the first frame shows no face to compare later ones with",
    "not_one_face_in_first_frame": (
        "the first frame does not show exactly one face, as VBench-2.0 demands; "
        "`identity.vbench2.fixed` and `identity.arcface` do not"
    ),
    "too_few_frames": "fewer than 20 frames after the first can be compared, as VBench-2.0 demands",
    "not_one_person": (
        "the judge does not see exactly one person, as VBench-2.0 demands; "
        "`cloth.storyboard` does not"
    ),
    "no_shots": "no shot of the storyboard lies within the video",
    "no_shot_within_the_video": "no shot of the storyboard lies within the video",
    "one_shot": "only one shot of the storyboard lies within the video, and it takes a pair",
    "no_person": "the judge sees nobody whose clothes can be told",
    "person_in_one_shot": "people are to be seen in one shot only, and it takes a pair",
    "no_shared_person": "the judge sees nobody in two shots",
    "single_frame": "one frame does not move",
    "no_pair_within_a_shot": "there is a cut between every two frames that were looked at",
    "too_little_visible": "too little of each frame can be seen in the next one",
    "too_short": "the video is shorter than a window of 2 s",
    "not_asked": "what was said earlier leads to a question that nobody asked, `pfp-eval run`",
    "judge_unparseable": "the judge said neither yes nor no",
    "judge_split": "the judge's votes are tied",
    "judge_blocked": "the judge's service refuses to speak about this video",
    "judge_truncated": "the judge's answer was cut off, allow it more tokens",
    "judge_unseen": "the judge answered without having been shown the video, run again",
    "judge_absent": "the recorded answers have none about these frames, ask a judge that is there",
}


def explained(reason: str) -> str:
    """The sentence of a word; what is no such word is a sentence already."""
    return REASONS.get(reason) or short(reason)


def short(reason: str) -> str:
    """``no_face`` is "no face"; sentences stay as they are."""
    return reason.replace("_", " ") if re.fullmatch(r"[a-z0-9_]+", reason) else reason
