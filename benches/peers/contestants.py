"""The peers, each behind the same three questions: build, sweep, search.

A class is one peer over one base. `settings` lists what to sweep; `use` switches to a setting; `search` answers a whole
matrix of queries on one thread and returns row numbers; `size` is the bytes of the saved index.
"""

import tempfile
from pathlib import Path

import faiss
import hnswlib
import numpy as np
import scann
from usearch.index import Index as UsearchIndex

EFFORTS = (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024)


def efforts(k: int) -> list[dict]:
    """The same ladder that `faces index bench` climbs."""
    return [{"ef": ef} for ef in EFFORTS if ef >= k] or [{"ef": k}]


class Hnswlib:
    """hnswlib, f32."""

    name = "hnswlib"

    def __init__(self, base: np.ndarray, metric: str, k: int, m: int, ef_construction: int) -> None:
        self.k, self.settings = k, efforts(k)
        self.index = hnswlib.Index(space=metric, dim=base.shape[1])
        self.index.init_index(max_elements=len(base), M=m, ef_construction=ef_construction, random_seed=0)
        self.index.set_num_threads(1)
        self.index.add_items(base, num_threads=1)

    def use(self, setting: dict) -> None:
        self.index.set_ef(setting["ef"])

    def search(self, queries: np.ndarray) -> np.ndarray:
        return self.index.knn_query(queries, self.k, num_threads=1)[0]

    def size(self) -> int:
        return self.index.index_file_size()


class FaissHnsw:
    """faiss IndexHNSWFlat, f32; inner product natively."""

    name = "faiss_hnsw"

    def __init__(self, base: np.ndarray, metric: str, k: int, m: int, ef_construction: int) -> None:
        faiss.omp_set_num_threads(1)
        self.k, self.settings = k, efforts(k)
        kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        self.index = faiss.IndexHNSWFlat(base.shape[1], m, kind)
        self.index.hnsw.efConstruction = ef_construction
        self.index.add(base)

    def use(self, setting: dict) -> None:
        self.index.hnsw.efSearch = setting["ef"]

    def search(self, queries: np.ndarray) -> np.ndarray:
        return self.index.search(queries, self.k)[1]

    def size(self) -> int:
        return len(faiss.serialize_index(self.index))


class Usearch:
    """usearch, f32."""

    name = "usearch"

    def __init__(self, base: np.ndarray, metric: str, k: int, m: int, ef_construction: int) -> None:
        self.k, self.settings = k, efforts(k)
        kind = {"ip": "ip", "cosine": "cos", "l2": "l2sq"}[metric]
        self.index = UsearchIndex(
            ndim=base.shape[1], metric=kind, dtype="f32", connectivity=m, expansion_add=ef_construction
        )
        self.index.add(np.arange(len(base)), base, threads=1)

    def use(self, setting: dict) -> None:
        self.index.expansion_search = setting["ef"]

    def search(self, queries: np.ndarray) -> np.ndarray:
        return np.atleast_2d(self.index.search(queries, self.k, threads=1).keys).astype(np.int64)

    def size(self) -> int:
        return self.index.serialized_length


class Scann:
    """ScaNN: tree of about 2 x sqrt(rows) leaves, anisotropic 4-bit codes, f32 re-scoring."""

    name = "scann"

    def __init__(self, base: np.ndarray, metric: str, k: int, m: int, ef_construction: int) -> None:
        self.k = k
        leaves = max(1, int(2 * len(base) ** 0.5))
        shares = (0.005, 0.01, 0.02, 0.04, 0.07, 0.12, 0.2, 0.35, 0.6, 1.0)
        probes = sorted({max(1, round(leaves * share)) for share in shares})
        self.settings = [{"leaves": p, "reorder": r} for p in probes for r in (3 * k, 10 * k, 30 * k)]
        measure = "squared_l2" if metric == "l2" else "dot_product"
        builder = scann.scann_ops_pybind.builder(base, k, measure).set_n_training_threads(1)
        sample = min(len(base), 100_000)
        tree = builder.tree(leaves, max(1, leaves // 10), training_sample_size=sample)
        self.searcher = tree.score_ah(2, anisotropic_quantization_threshold=0.2).reorder(10 * k).build()

    def use(self, setting: dict) -> None:
        self.setting = setting

    def search(self, queries: np.ndarray) -> np.ndarray:
        leaves, reorder = self.setting["leaves"], self.setting["reorder"]
        return self.searcher.search_batched(
            queries, leaves_to_search=leaves, pre_reorder_num_neighbors=reorder, final_num_neighbors=self.k
        )[0].astype(np.int64)

    def size(self) -> int:
        with tempfile.TemporaryDirectory() as folder:
            self.searcher.serialize(folder)
            return sum(file.stat().st_size for file in Path(folder).iterdir())


PEERS = {peer.name: peer for peer in (Hnswlib, FaissHnsw, Usearch, Scann)}
