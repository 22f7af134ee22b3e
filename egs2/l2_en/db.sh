# shellcheck shell=bash disable=SC2034
# Where your copies of the corpora are; --db overrides. Relative to this directory or absolute.
SPEECHOCEAN762=
