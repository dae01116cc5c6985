"""Pages and figures: the only part that plots or fills templates."""
