"""Two systems side by side, judged blind by people."""
