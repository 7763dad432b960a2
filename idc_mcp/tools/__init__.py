"""The tools: arguments in, one core call, an answer out. No SQL and no S3 here."""
