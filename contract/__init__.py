"""What the parts of Spaceport share, written once. Standard library only: every world imports it.

stages         names, order, kinds, limits and job names of the stages; where a pipeline may start
options        what a customer may set, its range, and the container's variable for it
codes          failures, each with its sentence, advice and retry rule
warning_codes  warnings, each with its sentence and advice
counts         how many photos a job may have
shots          which pictures of an upload are photos, and which are second images of the same shots
films          what a film may be, by its header
names          the names in a ZIP as they were typed
archive        which files of a ZIP are taken, and what a ZIP may hold: one check for preflight and containers
blocks         large flights: how many blocks, blocks.json, and where a block's files lie
events         source, types and sequence numbers of status events
schemas        JSON Schemas of status events and of the files that stages leave (written to events/schemas/), made of
               scene_schemas (files that describe a scene) and schema_parts
page           the part that the customer's page needs (written to web/src/contract.js)

`python -m contract` writes what is generated; `python -m contract --check` exits 1 where it is not up to date.
"""
