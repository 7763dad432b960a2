"""Cohorts: a set of series of one release, said in words the data knows, kept by a handle."""
