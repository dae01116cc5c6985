"""Report pages and figures: the only package that plots or fills templates."""
