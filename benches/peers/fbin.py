"""`.fbin` files: u32 rows, u32 dimension, then f32 values row by row, little-endian."""

from pathlib import Path

import numpy as np


def read(path: Path) -> np.ndarray:
    """The rows of a file; an error if its length is not what its header says."""
    rows, dimension = (int(n) for n in np.fromfile(path, "<u4", 2))
    values = np.fromfile(path, "<f4", offset=8)
    if values.size != rows * dimension:
        raise SystemExit(f"{path}: the header says {rows} x {dimension}, found {values.size} values")
    return np.ascontiguousarray(values.reshape(rows, dimension), dtype=np.float32)


def write(path: Path, rows: np.ndarray) -> None:
    """Writes `rows`; makes the folder if need be."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as out:
        np.array(rows.shape, "<u4").tofile(out)
        np.ascontiguousarray(rows, "<f4").tofile(out)
    print(f"{path}: {rows.shape[0]} x {rows.shape[1]}")
