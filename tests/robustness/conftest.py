"""At the end of a run: how many hostile inputs and kills were tried, and what held."""

HOLDS = {  # of each file: what its tests assert
    "test_audio": "nothing in an input runs",
    "test_paths": "nothing lands outside",
    "test_text_files": "one line instead of a traceback",
    "test_tables": "nothing is silently wrong",
    "test_kills": "nothing is lost in a kill",
}


def pytest_terminal_summary(terminalreporter):
    """Print a line for each file: inputs or kills tried, and how many tests failed."""
    tried = {name: 0 for name in HOLDS}
    failed = dict(tried)
    for outcome in ("passed", "failed"):
        for report in terminalreporter.stats.get(outcome, ()):
            folder, _, name = report.nodeid.partition("::")[0].removesuffix(".py").rpartition("/")
            if folder.endswith("robustness") and name in HOLDS and report.when == "call":
                tried[name] += dict(report.user_properties).get("kills", 1)
                failed[name] += outcome == "failed"
    if not any(tried.values()):
        return
    terminalreporter.section("hostile inputs and kills")
    for name, count in ((name, count) for name, count in tried.items() if count):
        what = "kills" if name == "test_kills" else "inputs"
        result = f"FAILED in {failed[name]}" if failed[name] else "held"
        terminalreporter.write_line(f"{HOLDS[name]}: {count} {what}: {result}")
