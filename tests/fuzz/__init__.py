"""Seeded hostile inputs for every entry point ("door") that accepts data from outside."""
