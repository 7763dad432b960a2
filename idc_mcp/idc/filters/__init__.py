"""Filters of a cohort: what may be asked, how it is matched, and the SQL that it means."""
