"""A Parquet file as JSON lines on standard output, for `training.engine.data`, which runs this as a process of its own.

    python -P parquet_lines.py FILE

pyarrow takes 50 MiB of the process that reads with it and gives none of them back; a stage reads once and then trains
for days. What cannot be read is said on standard error, with exit code 1.
"""

import json
import sys

import pyarrow as pa
import pyarrow.parquet as pq

ROWS_AT_ONCE = 1024


def main(path: str) -> int:
    try:
        for batch in pq.ParquetFile(path).iter_batches(ROWS_AT_ONCE, use_threads=False):
            sys.stdout.writelines(json.dumps(row) + "\n" for row in batch.to_pylist())
    except (pa.ArrowException, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
