"""What happens to a frame."""
