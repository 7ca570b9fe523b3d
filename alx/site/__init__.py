"""One organisation's memory: its folder, its peer, its ledger, the disk it writes to. No torch."""
