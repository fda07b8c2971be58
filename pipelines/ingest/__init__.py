"""The ingest stage: a folder of video files in, the table of clips out."""
