"""From prompts to MP4 files with sound."""
