"""How raters perceive the people in clips, and how far they and the judge agree."""
