"""The report as one HTML file."""

from .report import Report


def html_report(report: Report) -> str:
    """Give a report as a page.

    Parameters
    ----------
    report
        The report.

    Returns
    -------
    str
        The page.
    """
    return "<!DOCTYPE html>"
