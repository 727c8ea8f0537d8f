"""TODO waitline.sales.report."""
