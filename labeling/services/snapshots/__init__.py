"""Snapshots: rows frozen to a Parquet file with a hash of their content."""

from labeling.services.snapshots.build import build
from labeling.services.snapshots.lifecycle import SnapshotError, create, folder, retry, sweep

__all__ = ["SnapshotError", "build", "create", "folder", "retry", "sweep"]
