"""The mark against attacks: what is read after each, false alarms, averaging, size, time, and alternatives.

`SEED=123 QUICK=1 python -m benchmarks.watermark`, or some of its sections: survival, small, unmarked,
averaging, time, alternatives.
"""

import sys
from collections.abc import Callable, Iterator

from benchmarks.report import Row, publish, quick, seed
from benchmarks.watermark import averaging, compared, survival, timing, unmarked
from benchmarks.watermark.trial import KEY

DEFAULT_SEED = 8_128_001


def main() -> None:
    used, few = seed(DEFAULT_SEED), quick()
    sections: dict[str, Callable[[], Iterator[Row]]] = {
        "survival": lambda: survival.survival(6 if few else 201, used),
        "small": lambda: survival.survival(6 if few else 200, used, small=64),
        "unmarked": lambda: unmarked.unmarked(100 if few else 10_000, used),
        "averaging": lambda: averaging.rows(KEY, used, 16 if few else 200, 3 if few else 12),
        "time": lambda: timing.timing(used),
        "alternatives": lambda: compared.compared(3 if few else 30, used),
    }
    for name in sys.argv[1:] or sections:
        rows = list(sections[name]())
        if rows:
            publish("watermark", rows, used_seed=used, section=name)


if __name__ == "__main__":
    main()
