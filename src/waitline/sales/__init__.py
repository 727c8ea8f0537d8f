"""TODO waitline.sales."""
