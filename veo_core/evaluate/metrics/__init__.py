"""What is measured, a family a module, each metric declared once."""
