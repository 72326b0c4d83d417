"""optorace: compare generative optimizers on the same program, data and budget."""
