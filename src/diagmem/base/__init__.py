"""Said to the user, written to disk: what every layer may use."""
