"""Makes the vectors that the index is measured on: three .fbin files a set, NAME.{base,queries,tuning}.fbin.

Queries are for measuring, tuning queries for whoever chooses a setting first; none is in both.

python vectors.py fashion --out vectors
python vectors.py als --events events.csv.zst --out vectors
python vectors.py synthetic --out vectors
"""

import argparse
import csv
import gzip
import io
from pathlib import Path

import numpy as np

import fbin

QUERIES = 1000
TUNING = 500


def unit(rows: np.ndarray) -> np.ndarray:
    """Each row divided by its length; zero rows stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(lengths > 0, lengths, 1)


def write(args: argparse.Namespace, name: str, base: np.ndarray, queries: np.ndarray) -> None:
    """Writes a set; the last of the queries are for tuning."""
    fbin.write(args.out / f"{name}.base.fbin", base)
    fbin.write(args.out / f"{name}.queries.fbin", queries[:QUERIES])
    fbin.write(args.out / f"{name}.tuning.fbin", queries[QUERIES:])


def fashion(args: argparse.Namespace) -> None:
    """Fashion-MNIST: raw pixels for L2, unit rows for cosine; 60,000 training images, queries from the test images."""

    def images(name: str) -> np.ndarray:
        with gzip.open(args.folder / f"{name}-images-idx3-ubyte.gz") as file:
            pixels = np.frombuffer(file.read(), np.uint8, offset=16)
        return pixels.reshape(-1, 28 * 28).astype(np.float32)

    base, queries = images("train"), images("t10k")[: QUERIES + TUNING]
    for name, change in (("l2", lambda rows: rows), ("cosine", unit)):
        write(args, f"fashion-{name}", change(base), change(queries))


def als(args: argparse.Namespace) -> None:
    """Factors of implicit-feedback ALS over (unit + customer) x item, for inner product; queries are customers."""
    import implicit
    import zstandard
    from scipy.sparse import coo_matrix
    from threadpoolctl import threadpool_limits

    customers: dict[tuple[str, str], int] = {}
    items: dict[str, int] = {}
    pairs = []
    with open(args.events, "rb") as raw:
        is_packed = args.events.suffix == ".zst"
        stream = zstandard.ZstdDecompressor().stream_reader(raw) if is_packed else raw
        for row in csv.DictReader(io.TextIOWrapper(stream, "utf-8", newline="")):
            customer = customers.setdefault((row["bu"], row["local_user_id"]), len(customers))
            pairs.append((customer, items.setdefault(row["item_id"], len(items))))
    rows, columns = np.array(pairs).T
    matrix = coo_matrix((np.ones(len(pairs), np.float32), (rows, columns)), (len(customers), len(items))).tocsr()
    model = implicit.als.AlternatingLeastSquares(
        factors=args.dimension, iterations=15, random_state=args.seed, num_threads=1, use_gpu=False
    )
    with threadpool_limits(1, "blas"):
        model.fit(matrix, show_progress=False)
    asked = np.random.default_rng(args.seed).choice(len(customers), QUERIES + TUNING, replace=False)
    write(args, args.name, model.item_factors, model.user_factors[asked])


def synthetic(args: argparse.Namespace) -> None:
    """Clusters of unequal size that overlap, in a space whose axes matter ever less, as in trained embeddings."""
    random = np.random.default_rng(args.seed)
    scale = (1 + np.arange(args.dimension)) ** -0.5
    centres = random.standard_normal((args.clusters, args.dimension))
    weights = 1 / (10 + np.arange(args.clusters))
    of = random.choice(args.clusters, args.rows + QUERIES + TUNING, p=weights / weights.sum())
    noise = random.standard_normal((len(of), args.dimension), dtype=np.float32)
    points = unit(((centres[of] + 0.7 * noise) * scale).astype(np.float32))
    write(args, "synthetic", points[: args.rows], points[args.rows :])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    sets = parser.add_subparsers(required=True)
    for make in (fashion, als, synthetic):
        command = sets.add_parser(make.__name__, help=make.__doc__)
        command.set_defaults(make=make)
        command.add_argument("--out", type=Path, required=True, help="folder for the files")
        command.add_argument("--seed", type=int, default=0)
        if make is fashion:
            folder = Path("/usr/share/datasets/fashion-mnist")  # of Debian's package dataset-fashion-mnist
            command.add_argument("--folder", type=Path, default=folder)
        elif make is als:
            command.add_argument(
                "--events", type=Path, required=True, help="CSV or CSV + zstd: bu, local_user_id, item_id"
            )
            command.add_argument("--dimension", type=int, default=64)
            command.add_argument("--name", default="als")
        else:
            command.add_argument("--rows", type=int, default=250_000)
            command.add_argument("--dimension", type=int, default=128)
            command.add_argument("--clusters", type=int, default=2_000)
    args = parser.parse_args()
    args.make(args)


if __name__ == "__main__":
    main()
