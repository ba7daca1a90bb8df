"""Inputs that are nearly right: bytes, texts, JSON and zip archives that somebody damaged, or made to do damage."""

import copy
import io
import json
import struct
import warnings
import xml.etree.ElementTree as ET
import zipfile
from typing import Any, Callable, List, Mapping, NamedTuple, Sequence, Tuple

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

# Places are fractions of what is there, so that they stay in it whatever was done before.
_PLACES = st.integers(0, 9999)
_LENGTHS = st.sampled_from([1, 2, 4, 8, 13, 100, 1000])
_SIZES = st.sampled_from([1, 2, 4, 8])
# Where counters overflow, signs change, and limits are.
_NUMBERS = [0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**40, 2**63, 2**64 - 1]
NUMBER_TEXTS = [
    *["0", "-0", "1", "-1", "3", "1e5", "1e308", "1e999", "-1e999", "1e-320", "nan", "inf", "-inf", "0x10", "1_0"],
    *["2147483648", "4294967296", "9223372036854775808", "1" + 30 * "0", 400 * "9", 5000 * "9", "٣", "1.", ".5", "1e"],
    *["1+2j", "1d3", "--1", "1,5", "½"],
]
ODD_TEXTS = [
    *[
        "",
        " ",
        "\0",
        "\n",
        "\r\n",
        "\x1b[31m",
        "\x85",
        "\u2028",
        "ü",
        "\ud7ff",
        "😀",
        "'",
        '"',
        "`",
        "\\",
        "/",
        "..",
        "~",
    ],
    *["%s%n", "{}", "{0.__class__}", "$(touch x)", "; touch x", "a" * 300, "x" * 5000, "None", "True", "null", "off"],
    *["-", "--", "=", ":", ",", ";", "#", "&", "<", ">", "<![CDATA[", "\ufeff", "\u202e"],
]


def one_of(values: Sequence[Any]) -> SearchStrategy[Any]:
    """Sample from values that are too large to be written out whenever a strategy describes itself."""
    return st.integers(0, len(values) - 1).map(lambda index: values[index])


def _at(place: int, length: int) -> int:
    return place * length // 10000


_Change = Callable[[bytes], bytes]


def _byte_changes(seeds: Sequence[bytes], tokens: Sequence[bytes]) -> SearchStrategy[_Change]:
    def flip(place: int, bit: int) -> _Change:
        def change(data: bytes) -> bytes:
            i = _at(place, len(data))
            return data[:i] + bytes([data[i] ^ (1 << bit)]) + data[i + 1 :] if data else data

        return change

    def cut(place: int) -> _Change:
        return lambda data: data[: _at(place, len(data))]

    def drop(place: int, length: int) -> _Change:
        return lambda data: data[: _at(place, len(data))] + data[_at(place, len(data)) + length :]

    def repeat(place: int, length: int, times: int) -> _Change:
        def change(data: bytes) -> bytes:
            i = _at(place, len(data))
            return data[:i] + times * data[i : i + length] + data[i:]

        return change

    def insert(place: int, token: bytes) -> _Change:
        return lambda data: data[: _at(place, len(data))] + token + data[_at(place, len(data)) :]

    def lie(place: int, number: int, size: int, order: str) -> _Change:
        def change(data: bytes) -> bytes:
            i, told = _at(place, len(data)), (number % 256**size).to_bytes(size, "little" if order == "<" else "big")
            return data[:i] + told + data[i + size :]

        return change

    def splice(place: int, other: bytes, start: int) -> _Change:
        return lambda data: data[: _at(place, len(data))] + other[_at(start, len(other)) :]

    return st.one_of(
        st.builds(flip, _PLACES, st.integers(0, 7)),
        st.builds(cut, _PLACES),
        st.builds(drop, _PLACES, _LENGTHS),
        st.builds(repeat, _PLACES, _LENGTHS, st.integers(1, 50)),
        st.builds(insert, _PLACES, st.one_of(one_of([*tokens, b"\0"]), st.binary(max_size=20))),
        st.builds(lie, _PLACES, st.sampled_from(_NUMBERS), _SIZES, st.sampled_from("<>")),
        st.builds(splice, _PLACES, one_of(list(seeds)), _PLACES),
    )


def _changed(data: Any, changes: Sequence[Callable[[Any], Any]]) -> Any:
    for change in changes:
        data = change(data)
    return data


def mutated_bytes(seeds: Sequence[bytes], tokens: Sequence[bytes] = (), most: int = 5) -> SearchStrategy[bytes]:
    """Bytes that were flipped, cut, repeated and spliced, with numbers that lie."""
    changes = st.lists(_byte_changes(seeds, tokens), max_size=most)
    return st.builds(_changed, one_of(list(seeds)), changes)


def mutated_text(seeds: Sequence[str], tokens: Sequence[str] = (), most: int = 6) -> SearchStrategy[str]:
    """Texts whose lines and words were dropped, repeated, replaced and moved."""
    words = st.one_of(one_of([*tokens, *NUMBER_TEXTS]), one_of(ODD_TEXTS), st.text(max_size=5), st.just(""))

    def of_parts(separator: str) -> SearchStrategy[Callable[[str], str]]:
        def change(kind: str, place: int, other: int, word: str) -> Callable[[str], str]:
            def changed(text: str) -> str:
                parts = text.split(separator)
                i, j = _at(place, len(parts)), _at(other, len(parts))
                if kind == "replace":
                    parts[i] = word
                elif kind == "insert":
                    parts.insert(i, word)
                elif kind == "drop":
                    del parts[i]
                elif kind == "cut":
                    del parts[i:]
                elif kind == "repeat":
                    parts[i:i] = parts[min(i, j) : max(i, j) + 1]
                else:
                    parts[i], parts[j] = parts[j], parts[i]
                return separator.join(parts)

            return changed

        kinds = st.sampled_from(["replace", "insert", "drop", "cut", "repeat", "swap"])
        return st.builds(change, kinds, _PLACES, _PLACES, words)

    def inserted(place: int, word: str) -> Callable[[str], str]:
        return lambda text: text[: _at(place, len(text))] + word + text[_at(place, len(text)) :]

    changes = st.one_of(of_parts(" "), of_parts("\n"), st.builds(inserted, _PLACES, words))
    return st.builds(_changed, one_of(list(seeds)), st.lists(changes, max_size=most))


# Stands for what Python's `json` does not write.
_RAW = "raw:"
_RAW_TEXTS = [
    *["1e999", "-1e999", "NaN", "Infinity", "-0", "1e-999", "18446744073709551616", 4000 * "9", 5000 * "9"],
    *[100_000 * "[", 100_000 * "[" + 100_000 * "]", 2000 * '{"a":', "", '"\\ud800"', '"\\u0000"', "{", "]"],
]
ODD_VALUES = st.one_of(
    one_of([None, True, False, 0, -1, 1, 0.5, -0.0, 2**31, 2**63, 2**64, 10**400, 1e308, "", "x", [], {}]),
    one_of([[1], [None], ["a", "a"], [[]], {"a": 1}, [0] * 1000, "1", "inf", "nan", "eV", "angstrom"]),
    one_of(ODD_TEXTS),
    one_of(_RAW_TEXTS).map(lambda text: _RAW + text),
)


def _paths(value: Any, before: Tuple[Any, ...] = ()) -> List[Tuple[Any, ...]]:
    """List all places in a JSON value."""
    found = [before]
    keys = value.keys() if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        found += _paths(value[key], (*before, key))
    return found


class _Edit(NamedTuple):
    kind: str
    place: int
    value: Any
    name: str


def _edited(value: Any, edit: _Edit) -> Any:
    paths = _paths(value)
    path = paths[_at(edit.place, len(paths))]
    if not path:
        return {**value, edit.name: edit.value} if edit.kind == "add" and isinstance(value, dict) else edit.value
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    if edit.kind == "drop":
        del holder[path[-1]]
    elif edit.kind == "replace":
        holder[path[-1]] = edit.value
    elif isinstance(holder, dict):
        holder[edit.name] = edit.value if edit.kind == "add" else holder.pop(path[-1])
    else:
        holder.insert(path[-1], edit.value)
    return value


def mutated_json(seeds: Sequence[Any], names: Sequence[str] = (), most: int = 3) -> SearchStrategy[bytes]:
    """JSON texts with values of other types, missing and unknown keys, huge numbers, and deep nesting."""
    edits = st.builds(
        _Edit,
        st.sampled_from(["replace", "replace", "drop", "add", "rename"]),
        _PLACES,
        ODD_VALUES,
        st.one_of(one_of([*names, "x"]), one_of(ODD_TEXTS)),
    )

    def written(text: str, edited: Sequence[_Edit]) -> bytes:
        value = json.loads(text)
        for edit in edited:
            # a later edit may change what an earlier one put in
            value = _edited(value, edit._replace(value=copy.deepcopy(edit.value)))
        text = json.dumps(value)
        for raw in _RAW_TEXTS:
            text = text.replace(json.dumps(_RAW + raw), raw)
        return text.encode("utf-8", "surrogatepass")

    texts = one_of([json.dumps(seed) for seed in seeds])
    structured = st.builds(written, texts, st.lists(edits, max_size=most))
    damaged = mutated_bytes([json.dumps(seed).encode() for seed in seeds], [b"{", b"]", b"\xff", b'"', b"1e999"], 2)
    return st.one_of(structured, structured, structured, damaged)


def mutated_xml(seeds: Sequence[str], values: Sequence[str] = (), most: int = 3) -> SearchStrategy[str]:
    """XML whose elements were dropped, repeated and filled with other texts and attributes."""

    def change(kind: str, place: int, value: str) -> Callable[[ET.Element], None]:
        def changed(root: ET.Element) -> None:
            elements = list(root.iter())
            element = elements[_at(place, len(elements))]
            if kind == "text":
                element.text = value
            elif kind == "attribute" and element.attrib:
                element.attrib[[*element.attrib][_at(place * 7 % 10000, len(element.attrib))]] = value
            elif kind == "rename":
                element.tag = elements[_at(place * 7 % 10000, len(elements))].tag
            elif kind == "repeat":
                element.append(copy.deepcopy(element))
            elif kind == "drop":
                element.clear()

        return changed

    def made(text: str, changes: Sequence[Callable[[ET.Element], None]]) -> str:
        root = ET.fromstring(text)  # noqa: S314  (our own)
        for each in changes:
            each(root)
        # what is before the first element stays: comments are among it
        return text[: text.index("<simulation")] + ET.tostring(root, "unicode")

    kinds = st.sampled_from(["text", "text", "attribute", "attribute", "rename", "repeat", "drop"])
    texts = st.one_of(one_of([*values, *NUMBER_TEXTS]), one_of(ODD_TEXTS))
    return st.builds(made, one_of(list(seeds)), st.lists(st.builds(change, kinds, _PLACES, texts), max_size=most))


Entries = List[Tuple[str, bytes]]
_ODD_NAMES = [
    "",
    "/",
    "../x",
    "/x",
    "a/../b",
    "a//b",
    ".",
    "a\0b",
    "ü",
    "a" * 5000,
    "C:\\x",
    "a\\b",
    "\x1b[31m",
    "a\nb",
]
# (offset, size) of the fields after each signature that readers trust
_FIELDS = {
    b"PK\x03\x04": [(4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)],
    b"PK\x01\x02": [(6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2), (32, 2), (34, 2), (42, 4)],
    b"PK\x05\x06": [(4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)],
}


def zipped(entries: Entries, method: int = zipfile.ZIP_STORED) -> bytes:
    """Give an archive, also with names that occur twice."""
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w") as archive:
        warnings.simplefilter("ignore")
        for name, content in entries:
            archive.writestr(zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0)), content, method)
    return buffer.getvalue()


def unzipped(content: bytes) -> Entries:
    """Give the entries of an archive."""
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return [(info.filename, archive.read(info)) for info in archive.infolist()]


def _entry_changes(contents: Mapping[str, SearchStrategy[bytes]]) -> SearchStrategy[Callable[[Entries], Entries]]:
    def change(kind: str, place: int, other: int, name: str, content: bytes) -> Callable[[Entries], Entries]:
        def changed(entries: Entries) -> Entries:
            if not entries:
                return [(name, content)]
            i, j = _at(place, len(entries)), _at(other, len(entries))
            entries = list(entries)
            if kind == "drop":
                del entries[i]
            elif kind == "double":
                entries.insert(j, entries[i])
            elif kind == "rename":
                entries[i] = (name, entries[i][1])
            elif kind == "prefix":
                entries[i] = (f"{name}/{entries[i][0]}", entries[i][1])
            elif kind == "swap":
                entries[i], entries[j] = (entries[i][0], entries[j][1]), (entries[j][0], entries[i][1])
            elif kind == "empty":
                entries[i] = (entries[i][0], b"")
            else:
                entries[i] = (entries[i][0], content)
            return entries

        return changed

    def filled(name: str, content: bytes) -> Callable[[Entries], Entries]:
        return lambda entries: [(other, content if other == name else kept) for other, kept in entries]

    kinds = st.sampled_from(["drop", "double", "rename", "prefix", "swap", "empty", "replace"])
    odd_contents = st.one_of(
        st.binary(max_size=30), one_of([b"\0" * 100_000, b" " * 5_000_000, b"PK\x03\x04", b"[" * 100_000])
    )
    changes = [st.builds(change, kinds, _PLACES, _PLACES, one_of(_ODD_NAMES), odd_contents)]
    changes += [st.builds(filled, st.just(name), content) for name, content in contents.items()]
    return st.one_of(*changes)


def _field_changes() -> SearchStrategy[_Change]:
    """Lie in one field of one record of an archive."""

    def change(signature: bytes, which: int, field: int, number: int) -> _Change:
        def changed(data: bytes) -> bytes:
            starts, start = [], data.find(signature)
            while start >= 0 and len(starts) < 1000:
                starts.append(start)
                start = data.find(signature, start + 4)
            if not starts:
                return data
            offset, size = _FIELDS[signature][field % len(_FIELDS[signature])]
            place = starts[_at(which, len(starts))] + offset
            return data[:place] + (number % 256**size).to_bytes(size, "little") + data[place + size :]

        return changed

    numbers = st.one_of(st.sampled_from(_NUMBERS), st.integers(0, 300))
    return st.builds(change, st.sampled_from([*_FIELDS]), _PLACES, st.integers(0, 20), numbers)


def mutated_zip(seeds: Sequence[Entries], contents: Mapping[str, SearchStrategy[bytes]], most: int = 3) -> Any:
    """Archives with other entries, contents, names and sizes than they should have.

    Parameters
    ----------
    seeds
        Entries of archives that are right.
    contents
        Strategies for the contents of entries, by name.
    most
        How many changes of each kind at most.
    """

    def made(entries: Entries, changes: Sequence[Any], method: int, lies: Sequence[_Change], damage: Any) -> bytes:
        try:
            data = zipped(_changed(entries, changes), method)
        except (ValueError, struct.error):  # names that can not be written
            data = zipped(entries)
        return _changed(_changed(data, lies), damage)

    return st.builds(
        made,
        one_of(list(seeds)),
        st.lists(_entry_changes(contents), max_size=most),
        st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]),
        st.one_of(st.just([]), st.just([]), st.lists(_field_changes(), max_size=most)),
        st.one_of(st.just([]), st.just([]), st.just([]), st.lists(_byte_changes([zipped(seeds[0])], []), max_size=2)),
    )
