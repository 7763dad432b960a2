"""Manifests: files that name what to download, written and read."""
