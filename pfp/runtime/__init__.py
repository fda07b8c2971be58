"""How a stage runs over a table: with Ray or in this process, exactly once, and accounted for."""

from pfp.runtime import summary as summary
from pfp.runtime.connect import connect as connect
from pfp.runtime.progress import ConsoleProgress as ConsoleProgress
from pfp.runtime.progress import NoProgress as NoProgress
from pfp.runtime.progress import Progress as Progress
from pfp.runtime.report import StageReport as StageReport
from pfp.runtime.report import combined as combined
from pfp.runtime.report import report_of as report_of
from pfp.runtime.rows import map_rows as map_rows
from pfp.runtime.rows import preprocess_rows as preprocess_rows
from pfp.runtime.run import Backlog as Backlog
from pfp.runtime.run import Engine as Engine
from pfp.runtime.run import backlog as backlog
from pfp.runtime.run import run_stage as run_stage
from pfp.runtime.stage import Preprocess as Preprocess
from pfp.runtime.stage import Resources as Resources
from pfp.runtime.stage import Stage as Stage
