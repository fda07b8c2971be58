"""Yes/no questions about frames, put to a vision-language model."""

from pfp.eval.judge.judge import FramesQuestion as FramesQuestion
from pfp.eval.judge.judge import Judge as Judge
from pfp.eval.judge.judge import ModelJudge as ModelJudge
from pfp.eval.judge.judgement import Judgement as Judgement
from pfp.eval.judge.load import load_judge as load_judge
from pfp.eval.judge.verdict import Verdict as Verdict
from pfp.eval.judge.verdict import parse_verdict as parse_verdict
