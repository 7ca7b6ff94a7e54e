"""Pictures and clips for the page: derived once, people hidden in all of them; originals by right."""
