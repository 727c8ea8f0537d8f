"""The box office: what is on sale, who holds it, who has bought it.

model.py   seats, reservations, what may be asked and what is refused (pure)
store.py   one method per statement of sql/
sql/       the statements; migrations/ the tables that they work on
"""
