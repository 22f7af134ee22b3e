"""The measures of a system: each is a ratio of counts, which are summed over the test utterances.

A line more here is a measure more in exp/results.json, with its interval and its difference to the
baseline; docs/guides/add_a_metric.md adds one. `l2dual.scoring.score.COUNTS` are the counts.
"""

from collections.abc import Mapping

from l2dual.scoring.score import ERRORS

Weights = Mapping[str, int]
Measure = tuple[Weights, Weights]  # counts summed above, and below; the numbers multiply

ERROR_RATE: Measure = (dict.fromkeys(ERRORS, 1), {"n_ref": 1})
AT_TOKENS: dict[str, Measure] = {  # of each output: `l2dual.scoring.crosstalk`
    "learner_error_rate": ({"learner_errors": 1}, {"learner": 1}),
    "other_error_rate": (
        {"substitutions": 1, "deletions": 1, "learner_errors": -1},
        {"n_ref": 1, "learner": -1},
    ),
    "intrusion_rate": ({"intrusions": 1}, {"replaced": 1}),
}
DETECTION: dict[str, Measure] = {  # of the surface: `l2dual.scoring.mispronunciation`
    "precision": ({"TR": 1}, {"TR": 1, "FR": 1}),
    "recall": ({"TR": 1}, {"TR": 1, "FA": 1}),
    "f1": ({"TR": 2}, {"TR": 2, "FA": 1, "FR": 1}),
    "false_acceptance_rate": ({"FA": 1}, {"TR": 1, "FA": 1}),
    "false_rejection_rate": ({"FR": 1}, {"TA": 1, "FR": 1}),
    "diagnosis_error_rate": ({"DE": 1}, {"CD": 1, "DE": 1}),
}
NOTHING = {  # why a measure has no value, where there is nothing to count
    "learner_error_rate": "the references have no learner's token",
    "intrusion_rate": "the references have no replaced token",
    "cross_talk": "the references have no learner's token",
    "slope": "divergence does not vary",
    "precision": "nothing was rejected",
    "diagnosis_error_rate": "the annotation names no wrong token that was detected",
}
