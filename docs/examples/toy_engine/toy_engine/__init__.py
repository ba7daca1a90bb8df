"""A tiny engine of molecular dynamics, its adapter for metatomic models, and what the contract suite asks."""
