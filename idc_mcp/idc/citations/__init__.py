"""Citations of a cohort: from the catalogue's text, and from doi.org where it answers."""
