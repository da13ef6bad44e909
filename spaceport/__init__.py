"""Spaceport on one machine: the command line, and a Python client of the HTTP API."""
