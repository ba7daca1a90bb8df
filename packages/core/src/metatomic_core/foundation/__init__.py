"""What every wing stands on: TorchScript, elements, checks of values, files written whole, locks."""
