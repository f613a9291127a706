"""The whole product on one machine, with a month of history: `pilotbench demo`."""

from pathlib import Path


def run(*, port: int, data_dir: Path, token_file: Path | None, empty: bool) -> None:
    """Until stopped."""
    raise NotImplementedError
