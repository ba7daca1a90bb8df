"""A package of somebody else: a format that all engines read, and one that ``metatomic convert`` writes."""
