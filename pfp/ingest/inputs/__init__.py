"""The files that ingest is about, of folders, patterns, object stores and manifests, as Arrow."""

from pfp.ingest.inputs.blocks import INPUT_SCHEMA as INPUT_SCHEMA
from pfp.ingest.inputs.listing import gather_inputs as gather_inputs
from pfp.ingest.inputs.listing import list_inputs as list_inputs
