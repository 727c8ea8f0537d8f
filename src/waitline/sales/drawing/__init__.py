"""HTML and SVG of the reports, without knowledge of what they report.

page.py   the page frame: headings, tables, tiles, notes; one self-contained HTML file (pure)
plots.py  line and area plots as SVG text, by matplotlib
"""
