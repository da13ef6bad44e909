"""What the parts of Spaceport share, written once. Standard library only: every world imports it.

docs/tree.md lists the modules. `python -m contract` writes what is generated from them (JSON Schemas, the page's
values); `python -m contract --check` exits 1 where it is not up to date.
"""
