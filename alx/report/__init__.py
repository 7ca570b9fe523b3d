"""What was found, in words for people: lines of text, not yet made safe for a terminal. No torch."""
