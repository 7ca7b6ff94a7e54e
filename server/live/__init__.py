"""Live updates: one hub looks at the database once a second and tells everybody who watches, by server-sent events."""
