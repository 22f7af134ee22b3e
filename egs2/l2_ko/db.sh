# shellcheck shell=bash disable=SC2034
# Where your copies of the corpora are; --db overrides. Korean has simulated speech only, so far.
SPEECHOCEAN762=
