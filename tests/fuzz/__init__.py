"""Seeded hostile inputs against every door through which strangers' bytes come in."""
