"""Training on Lightning: module, callbacks, curves, and the run as a whole."""
