"""What the Snakefile asks: which stages a run has, what each depends on, where its files lie."""
