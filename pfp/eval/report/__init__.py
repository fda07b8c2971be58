"""A leaderboard for people: one HTML page, Markdown that diffs well, text for a terminal, JSON.

Nothing here needs torch, a network, or the machine that made the videos.
"""

from pfp.eval.report.csv import render_csv as render_csv
from pfp.eval.report.html import render_html as render_html
from pfp.eval.report.latex import render_latex as render_latex
from pfp.eval.report.markdown import render_markdown as render_markdown
from pfp.eval.report.plain_text import render_comparison as render_comparison
from pfp.eval.report.plain_text import render_text as render_text
from pfp.eval.report.write import ReportFiles as ReportFiles
from pfp.eval.report.write import load_run as load_run
from pfp.eval.report.write import write_report as write_report
