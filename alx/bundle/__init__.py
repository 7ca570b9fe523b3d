"""What travels: bytes. No torch, and no idea what a loss means."""
