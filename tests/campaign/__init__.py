"""The fault campaign: many seeded histories of the real functions' logic and the real state machine, in a simulated
AWS in which everything that AWS does not guarantee goes wrong.

    python -m tests.campaign --histories 2000

`world` keeps time and draws faults; `tables`, `storage`, `machine` and `compute` are AWS in memory; `pipeline`
connects the functions to them; `history` simulates customers and operators and then checks the invariants.
"""
