"""The only place that knows DuckDB: the release's tables, the database, guarded SQL."""
