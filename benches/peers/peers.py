"""Measures other indexes on .fbin files and prints the JSON that `faces index bench --json` prints.

python peers.py --base items.fbin --queries people.fbin --metric ip > peers.json

One thread, CPU time of the process, whole passes over the queries, the fastest counts. Queries are handed over as one matrix,
so that Python's own cost does not count; p50 and p99 come from one call per query and do hold it.
"""

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before numpy and the peers start their pools

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

import contestants
import fbin

PASSES_MIN, PASSES_MAX = 3, 50
TIE_SHARE = 1e-5
RECALL_ENOUGH = 0.9999


def unit(rows: np.ndarray) -> np.ndarray:
    """Each row divided by its length; zero rows stay."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


class Truth:
    """The k-th best score of every query, by scoring every row; what reaches it, less a hair, is right."""

    def __init__(self, base: np.ndarray, queries: np.ndarray, metric: str, k: int) -> None:
        self.base, self.queries, self.metric, self.k = base, queries, metric, min(k, len(base))
        self.floors = np.empty(len(queries))
        for start in range(0, len(queries), 50):
            chunk = queries[start : start + 50]
            scores = chunk @ base.T
            if metric == "l2":  # only to rank: what makes the floor is computed again below
                scores = 2 * scores - np.einsum("ij,ij->i", base, base)
            best = np.argpartition(-scores, self.k - 1, axis=1)[:, : self.k]
            for at, rows in enumerate(best):
                self.floors[start + at] = self.score(chunk[at], rows).min()

    def score(self, query: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """True scores of some rows; larger is better."""
        if self.metric == "l2":
            return -((self.base[rows] - query) ** 2).sum(axis=1, dtype=np.float64)
        return self.base[rows].astype(np.float64) @ query

    def recall(self, found: np.ndarray) -> float:
        """The share of the true answers in `found`, one list of rows a query."""
        hits = 0
        for query, floor, rows in zip(self.queries, self.floors, found, strict=True):
            rows = np.unique(rows[(rows >= 0) & (rows < len(self.base))])
            hits += min(self.k, int((self.score(query, rows) >= floor - abs(floor) * TIE_SHARE).sum()))
        return hits / (self.k * len(self.queries))


def measure(peer, queries: np.ndarray, truth: Truth, seconds: float) -> dict:
    """Recall, rate and latency of a peer as it is set."""
    found, fastest, spent = peer.search(queries), float("inf"), 0.0
    for done in range(1, PASSES_MAX + 1):
        before = time.process_time()
        peer.search(queries)
        took = time.process_time() - before
        fastest, spent = min(fastest, took), spent + took
        if spent >= seconds and (done >= PASSES_MIN or took > seconds):
            break
    latencies = []
    for at in range(min(len(queries), 200)):
        before = time.perf_counter()
        peer.search(queries[at : at + 1])
        latencies.append((time.perf_counter() - before) * 1e6)
    p50, p99 = np.percentile(latencies, [50, 99])
    return {"recall": truth.recall(found), "qps_cpu": len(queries) / fastest, "p50_us": p50, "p99_us": p99}


def sweep(name: str, base: np.ndarray, queries: np.ndarray, truth: Truth, args: argparse.Namespace) -> Iterator[dict]:
    """One run per setting of one peer."""
    before = time.process_time()
    peer = contestants.PEERS[name](base, args.metric, args.k, args.m, args.ef_construction)
    built = time.process_time() - before
    size = peer.size() / len(base)
    for setting in peer.settings:
        peer.use(setting)
        text = " ".join(f"{key}={value}" for key, value in setting.items())
        run = {"kind": name, "setting": text, **measure(peer, queries, truth, args.seconds)}
        yield run | {"bytes_per_vector": size, "build_cpu_s": built}
        if run["recall"] >= RECALL_ENOUGH:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--base", type=Path, required=True, help="the rows to index (.fbin)")
    parser.add_argument("--queries", type=Path, required=True, help="what to ask (.fbin)")
    parser.add_argument("--metric", choices=["ip", "cosine", "l2"], required=True)
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--m", type=int, default=16)
    parser.add_argument("--ef-construction", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=1.0, help="CPU seconds to spend on each setting")
    parser.add_argument(
        "--peer", action="append", choices=list(contestants.PEERS), help="may be repeated; default: all"
    )
    args = parser.parse_args()
    base, queries = fbin.read(args.base), fbin.read(args.queries)
    if base.shape[1] != queries.shape[1]:
        raise SystemExit(f"the base has dimension {base.shape[1]}, the queries {queries.shape[1]}")
    if args.metric == "cosine":
        base, queries = unit(base), unit(queries)
    truth = Truth(base, queries, args.metric, args.k)
    runs = []
    for name in args.peer or contestants.PEERS:
        for run in sweep(name, base, queries, truth, args):
            print(f"{name:<12} {run['setting']:<24} {run['recall']:.4f} {run['qps_cpu']:>9.0f}/s", file=sys.stderr)
            runs.append(run)
    shape = {"rows": len(base), "dimension": base.shape[1], "query_rows": len(queries)}
    asked = {"base": str(args.base), "queries": str(args.queries), "metric": args.metric, "k": args.k}
    built = {"m": args.m, "ef_construction": args.ef_construction}
    print(json.dumps({**asked, **shape, "filter_share": None, **built, "runs": runs}))


if __name__ == "__main__":
    main()
