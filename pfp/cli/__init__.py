"""Arguments in, exit status out; no arithmetic."""
