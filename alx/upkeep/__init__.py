"""For a bad day: back a site up, restore it, rebuild a lost ledger. No torch."""
