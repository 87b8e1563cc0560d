"""Where rows go: a pandas table, a Parquet file, a CSV file."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from diagmem.base.errors import DiagmemError
from diagmem.base.files import STDOUT
from diagmem.base.installing import package_command
from diagmem.base.text import cell

if TYPE_CHECKING:
    import pandas as pd

GZIP_WBITS = 31
"""zlib's way to ask for gzip's frame around its data."""


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


def sink_for(path: Path) -> Callable[[BinaryIO], Sink]:
    """What the ending of ``path`` asks for; it writes to the file that it is given.

    Raises
    ------
    DiagmemError
        The ending is another one, or what writes such a file is not installed.
    """
    if path.name.endswith(".parquet"):
        return _parquet()
    if path.name.endswith(".csv.gz"):
        return partial(_Csv, compressed=True)
    if path.name.endswith(".csv") or path == STDOUT:
        return _Csv
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


def _cells(column: npt.NDArray[Any] | Codes | SomeKnown) -> npt.NDArray[Any] | Codes | SomeKnown:
    """Names such that no spreadsheet takes one for a formula."""
    if not isinstance(column, Codes):
        return column
    cells = [cell(name) for name in column.names]
    number = {name: i for i, name in enumerate(dict.fromkeys(cells))}
    # One more for the code -1, which is missing.
    codes = np.array([*(number[name] for name in cells), -1], np.int32)[column.codes]
    return Codes(codes, tuple(number))


class _Csv:
    """Text by pandas: a few hundred thousand rows a second."""

    def __init__(self, file: BinaryIO, *, compressed: bool = False) -> None:
        self._file = file
        # A gzip member with neither name nor date, so that the same rows give the same bytes.
        self._gzip = zlib.compressobj(wbits=GZIP_WBITS) if compressed else None
        self._begun = False

    def write(self, rows: Rows) -> None:
        table = to_pandas({name: _cells(column) for name, column in rows.items()})
        text = table.to_csv(header=not self._begun, index=False, lineterminator="\n").encode()
        self._file.write(self._gzip.compress(text) if self._gzip else text)
        self._begun = True

    def close(self) -> None:
        if self._gzip:
            self._file.write(self._gzip.flush())


def _parquet() -> Callable[[BinaryIO], Sink]:
    try:
        import pyarrow.parquet
    except ImportError:
        raise DiagmemError(f"Parquet needs pyarrow: {package_command('pyarrow')}") from None
    return partial(_Parquet, pyarrow)


class _Parquet:
    """A row group per batch; names as dictionaries, numbers as differences."""

    def __init__(self, arrow: Any, file: BinaryIO) -> None:
        self._arrow = arrow
        self._file = file
        self._writer: Any = None

    def write(self, rows: Rows) -> None:
        arrow = self._arrow
        table = arrow.table({name: self._column(column) for name, column in rows.items()})
        if self._writer is None:
            named = [name for name, column in rows.items() if isinstance(column, Codes)]
            self._writer = arrow.parquet.ParquetWriter(
                self._file,
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
