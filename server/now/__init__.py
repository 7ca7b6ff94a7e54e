"""*Now*: the last encounters, one encounter with its story, and the page behind the link of a message."""
