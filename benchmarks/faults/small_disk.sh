#!/bin/sh
# small_disk.sh RUNS SIGNS COMMAND…: run COMMAND with a small disk of its own at RUNS, in a mount namespace of its own.
# The disk is filled up while SIGNS/full exists; SIGNS/is-full says that it is.
set -e
runs=$1 signs=$2
shift 2
mount -t tmpfs -o size=24m podium-runs "$runs"
parent=$$
(
    while kill -0 "$parent" 2>/dev/null; do
        if [ -e "$signs/full" ]; then
            # Again and again: what the stage removes makes room.
            cat /dev/zero >>"$runs/filler" 2>/dev/null || true
            touch "$signs/is-full"
        else
            rm -f "$runs/filler" "$signs/is-full"
        fi
        sleep 0.05
    done
) &
exec "$@"
