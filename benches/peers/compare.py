"""Tables for RESULTS.md from the JSON of `faces index bench --json` and `peers.py`: rates at given recalls, and what they
are as a multiple of plain hnsw_rs.

python compare.py bench.json peers.json
"""

import argparse
import json
from pathlib import Path

RECALLS = (0.90, 0.95, 0.99)


def fastest(runs: list[dict], recall: float) -> float | None:
    """The best rate among the settings that reach a recall."""
    return max((run["qps_cpu"] for run in runs if run["recall"] >= recall), default=None)


def cell(rate: float | None, reference: float | None) -> str:
    if rate is None:
        return "–"
    return f"{rate / 1000:.1f}k" + (f" ({rate / reference:.1f})" if reference else "")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=Path, nargs="+", help="outputs over the same vectors")
    parser.add_argument("--reference", default="hnsw_rs", help="the kind that ratios are to")
    args = parser.parse_args()
    objects = [json.loads(file.read_text()) for file in args.files]
    shapes = {(o["rows"], o["dimension"], o["metric"], o["k"], o["filter_share"]) for o in objects}
    if len(shapes) > 1:
        raise SystemExit(f"these are not about the same question: {sorted(shapes, key=str)}")
    by_kind: dict[str, list[dict]] = {}
    for run in (run for o in objects for run in o["runs"]):
        by_kind.setdefault(run["kind"], []).append(run)
    references = [fastest(by_kind.get(args.reference, []), recall) for recall in RECALLS]
    print(
        "| | " + " | ".join(f"{recall:.2f}" for recall in RECALLS) + " | best recall | bytes a vector | build CPU-s |"
    )
    print("|---|" + "---:|" * (len(RECALLS) + 3))
    for kind, runs in by_kind.items():
        rates = [cell(fastest(runs, recall), reference) for recall, reference in zip(RECALLS, references, strict=True)]
        best = max(run["recall"] for run in runs)
        size, built = runs[0]["bytes_per_vector"], runs[0]["build_cpu_s"]
        print(f"| {kind} | " + " | ".join(rates) + f" | {best:.4f} | {size:,.0f} | {built:.1f} |")


if __name__ == "__main__":
    main()
