"""The skill's documents are run and checked as a reader would: see README.md here."""
