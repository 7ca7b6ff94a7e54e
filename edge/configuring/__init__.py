"""Changing the site's YAML while it runs: proposed, compared, tried, kept or put back."""
