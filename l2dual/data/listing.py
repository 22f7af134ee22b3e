"""How the validator's findings are listed, for people and as JSON."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict

from l2dual.data.findings import CHECKS, ERROR, Finding
from l2dual.data.validate import Directory


def by_kind(findings: Iterable[Finding]) -> dict[str, list[Finding]]:
    """Findings by check: errors first, then in the order of CHECKS."""
    kinds = {name: [f for f in findings if f.check == name] for name in CHECKS}
    errors_first = sorted(kinds, key=lambda name: CHECKS[name].severity != ERROR)
    return {name: kinds[name] for name in errors_first if kinds[name]}


def summary(directory: Directory, findings: list[Finding]) -> list[str]:
    """How many findings there are, and a line for each kind: how many, what is wrong, what to do."""
    counts = Counter(finding.severity for finding in findings)
    number = len(directory.tables.get("wav.scp", {}))
    found = ", ".join(_count(n, severity) for severity, n in sorted(counts.items()))
    lines = [f"{directory.path}: {number} utterances: {found or 'nothing found'}"]
    for name, some in by_kind(findings).items():
        kind = CHECKS[name]
        lines.append(f"  {_count(len(some), kind.severity)}: {name}: {kind.problem}: {kind.remedy}")
    return lines


def _count(number: int, name: str) -> str:
    return f"{number} {name}{'s' if number > 1 else ''}"


def examples(directory: Directory, findings: list[Finding], most: int | None) -> Iterable[str]:
    """The places of each kind of finding, ``most`` of them (None: all)."""
    for name, some in by_kind(findings).items():
        yield from ("", f"{name} ({CHECKS[name].severity}):")
        yield from (f"  {f.where(directory.path)}{f.more()}" for f in some[:most])
        yield from rest(some, most, "  ")


def rest(some: list[Finding], most: int | None, before: str) -> list[str]:
    """How many were not listed, where some were not."""
    hidden = len(some) - len(some[:most])
    return [f"{before}and {hidden} more: --all"] if hidden else []


def as_json(directory: Directory, findings: list[Finding]) -> dict:
    """A directory and all findings in it, as `--format json` prints them."""
    return {
        "directory": str(directory.path),
        "utterances": len(directory.tables.get("wav.scp", {})),
        "findings": [asdict(f) | CHECKS[f.check]._asdict() for f in findings],
    }
