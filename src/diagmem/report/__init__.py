"""One offline page that explains traces, networks and results."""
