"""`alx demo`: two cases, and the story that is told of one."""
