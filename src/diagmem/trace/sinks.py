"""Where rows go: a pandas table, a Parquet file, a CSV file."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

from diagmem.errors import DiagmemError
from diagmem.installing import package_command

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Codes:
    """A column of names, as int32 indices into ``names``; -1 is missing."""

    codes: npt.NDArray[np.int32]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.codes)


@dataclass(frozen=True, slots=True)
class SomeKnown:
    """A column of int64 of which only those with ``known`` mean something."""

    values: npt.NDArray[np.int64]
    known: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.values)


Rows = dict[str, npt.NDArray[Any] | Codes | SomeKnown]
"""Columns of one length by name."""


class Sink(Protocol):
    def write(self, rows: Rows) -> None: ...

    def close(self) -> None: ...


def open_sink(path: Path, part: Path) -> Sink:
    """What the ending of ``path`` asks for, writing to ``part``."""
    if path.name.endswith(".parquet"):
        return _Parquet(part)
    if path.name.endswith((".csv", ".csv.gz")):
        return _Csv(part, compressed=path.name.endswith(".gz"))
    raise DiagmemError(f"{path}: the ending says the format; expected .parquet, .csv or .csv.gz")


def to_pandas(rows: Rows) -> pd.DataFrame:
    import pandas as pd

    table: dict[str, Any] = {}
    for name, column in rows.items():
        if isinstance(column, Codes):
            table[name] = pd.Categorical.from_codes(column.codes, pd.Index(column.names, dtype=str))
        elif isinstance(column, SomeKnown):
            table[name] = pd.arrays.IntegerArray(column.values, ~column.known)
        else:
            table[name] = column
    return pd.DataFrame(table)


class _Csv:
    """Text by pandas: a few hundred thousand rows a second."""

    def __init__(self, path: Path, *, compressed: bool) -> None:
        binary: Any = path.open("wb")
        self._files = [binary]
        if compressed:
            # No name and no date, so that the same rows give the same bytes.
            binary = gzip.GzipFile(filename="", mode="wb", fileobj=binary, mtime=0)
            self._files.insert(0, binary)
        self._text = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        self._files.insert(0, self._text)
        self._begun = False

    def write(self, rows: Rows) -> None:
        to_pandas(rows).to_csv(self._text, header=not self._begun, index=False, lineterminator="\n")
        self._begun = True

    def close(self) -> None:
        for file in self._files:
            file.close()


class _Parquet:
    """A row group per batch; names as dictionaries, numbers as differences."""

    def __init__(self, path: Path) -> None:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise DiagmemError(f"Parquet needs pyarrow: {package_command('pyarrow')}") from None
        self._arrow = pyarrow
        self._path = path
        self._writer: Any = None

    def write(self, rows: Rows) -> None:
        arrow = self._arrow
        table = arrow.table({name: self._column(column) for name, column in rows.items()})
        if self._writer is None:
            named = [name for name, column in rows.items() if isinstance(column, Codes)]
            self._writer = arrow.parquet.ParquetWriter(
                self._path,
                table.schema,
                compression="zstd",
                use_dictionary=named,
                column_encoding={name: "DELTA_BINARY_PACKED" for name in rows if name not in named},
            )
        self._writer.write_table(table)

    def _column(self, column: npt.NDArray[Any] | Codes | SomeKnown) -> Any:
        arrow = self._arrow
        if isinstance(column, Codes):
            codes = arrow.array(column.codes, mask=column.codes < 0)
            names = arrow.array(column.names, arrow.string())
            return arrow.DictionaryArray.from_arrays(codes, names)
        if isinstance(column, SomeKnown):
            return arrow.array(column.values, mask=~column.known)
        return arrow.array(column)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
