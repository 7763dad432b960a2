"""What IDC means: identifiers, filters, cohorts, sizes, licences, citations, viewers, manifests.

Nothing here knows MCP or DuckDB's client: questions are SQL text for `index.store.Index`.
"""
