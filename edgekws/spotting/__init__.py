"""Keywords in continuous speech: streams, scores, matching of events, thresholds."""
