"""Models as authors write them and as engines run them: the interface, `AtomisticModel`, saving and loaded models."""
