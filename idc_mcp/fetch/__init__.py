"""Tables that are not bundled: where they are published, how they are had, when they count."""
