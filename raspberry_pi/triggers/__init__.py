"""When a picture is taken: pir, motion, interval, schedule; any of them fires."""
