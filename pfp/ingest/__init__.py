"""From video files to clips: what lies in a folder, what each file shows, which ones to keep."""
