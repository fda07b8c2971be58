"""A page about an ingest run: what was taken out and why, measures, examples, timelines."""

from pfp.ingest.report.write import write_report as write_report
