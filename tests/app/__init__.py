"""What commands do before and around a run, with small real servers for clusters."""
