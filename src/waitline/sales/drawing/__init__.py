"""TODO waitline.sales.drawing."""
