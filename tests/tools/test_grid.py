"""conf/grid makes the runs of docs/training.json again."""

import json

from l2dual.files import read_yaml
from l2dual.training.runs import merge
from tests.checkout import ROOT

MINI, BUDGETS = (read_yaml(ROOT / f"conf/grid/{name}.yaml") for name in ("mini", "budgets"))
NOT_KEPT = {"ctc.2.subsampling6", "ctc.2.muon", "bf2.ctc.2"}  # code
AGAIN = {"fp2.ctc.2", "ctc.2.beside_muon", "ctc.2.utterances4800"}  # ctc.2, beside another process or on other data
USUAL = {"optim_conf": {"betas": [0.9, 0.999]}}  # when those of mini ran, conf/train/mini.yaml said nothing of it


def test_every_published_run_is_a_row_with_its_settings():
    runs = json.loads((ROOT / "docs/training.json").read_text())
    left_out = set()
    for run in runs:
        name, _, half = run["name"].partition("/")
        row = (MINI | BUDGETS).get(name)
        if row is None:
            left_out.add(name)
            continue
        changes = merge(run["changes"], USUAL) if name in MINI else run["changes"]
        assert row | {"half": True} == changes | {"half": True}, name
        assert not half or row["half"], name
    assert left_out == NOT_KEPT | AGAIN
