"""Ends with the line that tests/run adds up."""
from typing import Any


def pytest_unconfigure(config: Any) -> None:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None:
        return
    failed = len(reporter.stats.get("failed", [])) + len(reporter.stats.get("error", []))
    print(f"{len(reporter.stats.get('passed', []))} passed, {failed} failed")
