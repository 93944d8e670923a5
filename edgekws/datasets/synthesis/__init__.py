"""Speaking clips: who says what, in which voice, in which room."""
