"""A whole sale on the installation that is there, before the real one: `waitline rehearse`.

plan.py      who comes when, and who does what (pure)
endpoint.py  connections to the queue service and the box office
visitors.py  what a visitor does, from entering to being gone
tally.py     what came of it: each call's times and answers
stage.py     a room and a concert of its own, and their removal
watch.py     the room meanwhile: the line, and what limits it
verdict.py   go or no-go, with reasons (pure)
words.py     the figures as people read them (pure)
play.py      all of it, and the end that comes whatever happens
"""
