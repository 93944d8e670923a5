"""The forms in which a bundle is given away: one file per form."""
