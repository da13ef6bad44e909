"""Seeded hostile inputs for every entry point ("door") through which strangers' bytes come in."""
