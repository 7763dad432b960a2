"""Moving files: the only place that speaks to buckets."""
