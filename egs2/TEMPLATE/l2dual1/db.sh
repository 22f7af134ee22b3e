# shellcheck shell=bash disable=SC2034
# Paths of your copies of the corpora, absolute or relative to a recipe's directory; --db overrides.
SPEECHOCEAN762=
L2ARCTIC=
AIHUB=
KSPONSPEECH=
PANSORI=
TABLE=
KALDI=
