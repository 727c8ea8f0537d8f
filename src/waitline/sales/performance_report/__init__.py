"""`waitline report performance`: results of benchmarks as one page and one Markdown file.

results.py      loads the JSON files that `waitline-bench` writes
published.py    results of the Java implementation of the same contract, to compare with (pure)
targets.py      which targets are met, and why others are not (pure)
content.py      the report, in no format yet: verdict, key figures, sections
measured.py     sections of what was measured
comparisons.py  sections that compare (pure)
sections.py     what sections are made of (pure)
drawings.py     plots
page.py         the report as HTML
markdown.py     the report as Markdown (pure)
"""
