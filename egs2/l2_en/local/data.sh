#!/usr/bin/env bash
# Stage 1: turn the corpus that was chosen into data directories, DIR/{train,valid,test}.
exec python -m l2dual.bin.prepare "$@"
