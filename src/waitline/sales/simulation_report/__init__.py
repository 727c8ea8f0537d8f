"""A simulated sale, and its check if there was one, for display.

prediction_text.py  titles, figures and warnings as text (pure)
page.py             the HTML page
"""
