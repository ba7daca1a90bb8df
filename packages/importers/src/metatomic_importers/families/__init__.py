"""The families of this package, one module each; none needs the package of its family to be imported."""
