"""One module per feature, each with a `router`; handlers talk, they do not compute."""
