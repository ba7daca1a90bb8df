"""What standard tests raise."""


class ContractError(AssertionError):
    """Raised by a standard test that a subject fails: says what was expected and what came."""


class NothingAskedError(ContractError):
    """Raised by a standard test of which nothing is left that the subject can do."""
