# shellcheck shell=bash disable=SC2034
# Where your copies of the corpora are, absolute or relative to a recipe's directory; --db overrides.
SPEECHOCEAN762=
L2ARCTIC=
AIHUB=
KSPONSPEECH=
PANSORI=
TABLE=
KALDI=
