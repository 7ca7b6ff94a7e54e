"""Pictures with people: who may see them, how long they are kept, and who did what."""
