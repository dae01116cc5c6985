"""One short module a rule: load, call the core, store."""
