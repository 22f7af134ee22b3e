"""Speed perturbation: copies of the training data that are played slower or faster."""

from l2dual.data.datadir import DataDir


def perturb_speed(data: DataDir, factors: list[float]) -> DataDir:
    """Copies of ``data`` at each speed; a copy at another speed counts as another speaker."""
    tables: dict[str, dict[str, str]] = {name: {} for name in (*data.tables, "utt2speed")}
    for factor in factors:
        prefix = "" if factor == 1.0 else f"sp{factor}-"
        for name, table in data.tables.items():
            change = prefix if name == "utt2spk" else ""
            tables[name] |= {prefix + utt: change + value for utt, value in table.items()}
        tables["utt2speed"] |= {prefix + utt: str(factor) for utt in data["wav.scp"]}
    return DataDir(data.path, tables, data.info | {"speed_factors": factors})
