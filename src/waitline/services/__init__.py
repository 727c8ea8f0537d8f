"""TODO waitline.services."""
