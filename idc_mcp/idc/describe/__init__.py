"""What an identifier names, and what matters about it."""
