"""Search over what a release holds, in the field's words."""
