"""`make bench-search`: fixed searches of a million resources, how long they take and what they look at."""
