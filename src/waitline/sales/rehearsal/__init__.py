"""Load test of a running installation with a whole simulated sale. `waitline rehearse`.

plan.py          arrival times, and what each visitor does (pure)
visitors.py      the visitors: enter, wait, reserve, pay, leave
tally.py         latencies, refusals and outcomes as the visitors saw them
stage.py         the rehearsal's own room and concert: create, settle, delete
watch.py         the room once a second: length of the line, and what limits admission
verdict.py       go or no-go, with reasons (pure)
outcome_text.py  the figures as text (pure)
run.py           one rehearsal from preflight check to cleanup
"""
