"""What `make audit` does: the template, its policies, secrets, advisories, bills of material."""
