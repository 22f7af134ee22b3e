"""What the validator can find, and how it words a finding; checks.yaml has the texts.

A finding is an *error* where the utterance or the directory can't be used as it is, a *warning*
where it can. An error is repaired, or its utterance dropped, or it is for the user to correct; a
warning is repaired if nothing is lost by that, otherwise left.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from l2dual.errors import one_line
from l2dual.files import read_yaml

REPAIRED, DROPPED, MANUAL, LEFT = "repaired", "dropped", "manual", "left"  # fixes
ERROR = "error"
DETAIL = 200  # letters of a finding's detail, at most


class Check(NamedTuple):
    """One kind of finding: what is wrong, what to do, how bad it is and what --fix does."""

    problem: str
    remedy: str
    severity: str
    fix: str


ENTRIES = read_yaml(Path(__file__).with_name("checks.yaml"))
CHECKS = {name: Check(**entry) for name, entry in ENTRIES.items()}


@dataclass(frozen=True)
class Finding:
    """What is wrong in one place; ``check`` is a key of CHECKS."""

    check: str
    file: str
    line: int | None = None
    utterance: str | None = None
    detail: str = ""

    @property
    def severity(self) -> str:
        return CHECKS[self.check].severity

    @property
    def fix(self) -> str:
        return CHECKS[self.check].fix

    @property
    def reason(self) -> str:
        """File and problem, alike for all utterances that have it."""
        return f"{self.file}: {CHECKS[self.check].problem}"

    def where(self, folder: Path) -> str:
        """File, line and utterance."""
        line = "" if self.line is None else f", line {self.line}"
        utterance = "" if self.utterance is None else f", utterance {self.utterance}"
        return one_line(f"{folder / self.file}{line}{utterance}")

    def more(self) -> str:
        """The detail in brackets, on one line; nothing where there is none."""
        short = self.detail
        if len(short) > DETAIL:
            short = f"{short[: DETAIL // 2]} ... {short[-DETAIL // 2 :]}"
        return f" ({one_line(short)})" if short else ""

    def describe(self, folder: Path) -> str:
        """One line: file, line, utterance, what is wrong and what to do."""
        check = CHECKS[self.check]
        where = self.where(folder)
        return f"{where}: {check.severity}: {check.problem}{self.more()}: {check.remedy}"


def markdown() -> str:
    """The table of docs/validate.md."""
    rows = [("check", "what is wrong", "remedy", "severity", "`--fix`"), ["---"] * 5]
    rows += [(f"`{name}`", *check) for name, check in CHECKS.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
