"""Random models measured, planned by every solver, written and run, by hand:

python -m tests.networks.soak MODELS [FIRST_SEED]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from tests.networks.executed import planned_and_run
from tests.networks.random_models import random_model


def main(models: int, first: int = 0) -> int:
    wrong = 0
    for seed in range(first, first + models):
        with tempfile.TemporaryDirectory() as directory:
            found = planned_and_run(random_model(seed), Path(directory))
        bad = [text for text in found if text]
        wrong += bool(bad)
        print(f"seed {seed}: {'; '.join(bad) or f'{len(found)} plans identical'}", flush=True)
    print(f"{models} models, {wrong} of them wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
