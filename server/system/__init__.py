"""The system page: what the daemon does and how fast, quarantine, the audit, and the site's configuration."""
