"""Tables, columns and values of a release, as accounts of each."""
