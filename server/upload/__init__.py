"""Cards and folders that people send through the page: resumable, bounded, handed to the daemon file by file."""
