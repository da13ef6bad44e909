"""The fault campaign: many seeded histories of the real functions' logic and the real state machine, in a world where
everything that AWS does not promise goes wrong.

    python -m tests.campaign --histories 2000

`world` keeps time and draws faults; `tables`, `storage`, `machine` and `compute` are AWS in memory; `pipeline` joins
the functions to them; `history` plays customers and operators and then looks at what must hold.
"""
