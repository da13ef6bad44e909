"""Audit (`make audit`): the template, its policies, secrets, advisories, bills of material."""
