"""Looking at data and making it: explore, augment, synth."""
