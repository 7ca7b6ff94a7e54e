"""Which boxes of a clip belong to one animal: boxes of one picture after the other → tracks."""
