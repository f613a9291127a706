"""Packs: facts as files, from which anyone recomputes every figure without a database."""

from evaluation.packs.cells import PackRefused, Problem
from evaluation.packs.computing import evaluate_pack
from evaluation.packs.verifying import verify
from evaluation.packs.writing import Stamp, write_facts_pack, write_rows_pack

__all__ = ["PackRefused", "Problem", "Stamp", "evaluate_pack", "verify", "write_facts_pack", "write_rows_pack"]
