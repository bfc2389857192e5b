"""YAML as the runner reads it: 1.2 core types, marks, and refusals in sentences."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scenario_runner.errors import InvalidScenario
from scenario_runner.format.yaml_core import MOST_BYTES, Entries, Mark, parse_yaml, plain


def refusals(content: bytes) -> list[str]:
    with pytest.raises(InvalidScenario) as caught:
        parse_yaml(content, "f.yaml")
    return [str(problem) for problem in caught.value.problems]


def test_types_are_those_of_yaml_1_2():
    text = """
on: yes
no: off
time: 1:30
file: 010
octal: 0o10
hex: 0x1F
address: 0000:17:00.0
date: 2026-01-01
sure: true
word: True
nothing: ~
half: .5
power: 1e3
under: 1_000
quoted: "5"
"""
    assert plain(parse_yaml(text.encode(), "f.yaml")) == {
        "on": "yes",
        "no": "off",
        "time": "1:30",
        "file": 10,
        "octal": 8,
        "hex": 31,
        "address": "0000:17:00.0",
        "date": "2026-01-01",
        "sure": True,
        "word": "True",
        "nothing": None,
        "half": 0.5,
        "power": 1000.0,
        "under": "1_000",
        "quoted": "5",
    }


def test_keys_are_always_texts():
    assert plain(parse_yaml(b"{1: a, true: b, null: c}", "f.yaml")) == {"1": "a", "true": "b", "null": "c"}


def test_every_key_and_value_knows_its_place():
    tree = parse_yaml("a:\n  - {b: ä, c: x}\n".encode(), "f.yaml")
    assert isinstance(tree, Entries)
    inner = tree.entries[0].value.items[0]
    assert [(entry.mark, entry.value.mark) for entry in inner.entries] == [
        (Mark(2, 6), Mark(2, 9)),
        (Mark(2, 12), Mark(2, 15)),
    ]


def test_an_alias_stands_for_its_anchor():
    assert plain(parse_yaml(b"a: &x {b: 1}\nc: *x\n", "f.yaml")) == {"a": {"b": 1}, "c": {"b": 1}}


_DOES_NOT_FIT = "this line does not fit the lines above: check its indentation and the quotes before it"
_COLON = "a ':' is not expected here: quote a value that contains ': ', or indent the key like its neighbours"


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("a: 1\na: 2\n", "f.yaml:2:1: the key 'a' is given twice (first in line 1): remove one"),
        ("a:\n\t- b\n", "f.yaml:2:1: a tab can not indent YAML: use spaces"),
        ("a:\n  b: 1\n\tc: 2\n", "f.yaml:3:1: a tab can not indent YAML: use spaces"),
        ("ratio: >= 0.7\n", 'f.yaml:1:8: put this value in quotes: ">= 0.7"'),
        ("- a: {ratio: >= 0.7, b: c}\n", 'f.yaml:1:14: put this value in quotes: ">= 0.7"'),
        ("x: {{ y }}\n", 'f.yaml:1:4: put this value in quotes: "{{ y }}"'),
        ("x: {{ y }}s\n", 'f.yaml:1:4: put this value in quotes: "{{ y }}s"'),
        ("a: {for: {{ calm }}}\n", 'f.yaml:1:10: put this value in quotes: "{{ calm }}"'),
        ("a: {w: deployment/{{ x }}}\n", 'f.yaml:1:8: put this value in quotes: "deployment/{{ x }}"'),
        ("a: 1\n b: 2\n", f"f.yaml:2:3: {_COLON}"),
        ("a: 'x\n", "f.yaml:2:1: the quote or bracket that opens here is never closed"),
        ("a: [1, 2\n", "f.yaml:2:1: a ',' or the closing ']' is missing"),
        ("a: {b: 1\nc: 2}\n", "f.yaml:2:2: a ',' or the closing '}' is missing"),
        ("a: @x\n", "f.yaml:1:4: the character '@' can not begin a value: put the value in quotes"),
        ("- a\nb: 1\n", "f.yaml:2:1: this line does not fit the list above: check its indentation"),
        ("a: \x07\n", "f.yaml:1:4: the character #x0007 is not allowed in YAML: remove it"),
        ("<<: {a: 1}\n", "f.yaml:1:1: merge keys (<<) are not part of YAML 1.2: write the keys out"),
        ("a: !!int 1\n", "f.yaml:1:4: the tag !!int has no meaning here: remove it"),
        ("a: *x\n", "f.yaml:1:4: the anchor 'x' is not defined before this line"),
        ("a: &x {b: *x}\n", "f.yaml:1:11: the anchor 'x' contains itself"),
        ("? [a]\n: 1\n", "f.yaml:1:3: a key is a text, not a list or a mapping"),
        ("---\na: 1\n---\nb: 2\n", "f.yaml:3:1: a second document begins here: one file is one scenario"),
        ("", "f.yaml:1:1: the file is empty"),
        ("# nothing\n", "f.yaml:1:1: the file is empty"),
        ("[" * 100, "f.yaml:1:42: more than 40 levels lie inside each other"),
    ],
)
def test_what_can_not_be_read_is_told_with_its_place(text, refusal):
    assert refusals(text.encode()) == [refusal]


def test_every_duplicate_key_is_told():
    assert refusals(b"a: 1\na: 2\nb: {c: 1, c: 2}\n") == [
        "f.yaml:2:1: the key 'a' is given twice (first in line 1): remove one",
        "f.yaml:3:11: the key 'c' is given twice (first in line 3): remove one",
    ]


def test_an_anchor_bomb_is_refused():
    lines = ["a: &a [x,x,x,x,x,x,x,x,x,x]"]
    lines += [f"{name}: &{name} [{','.join([f'*{before}'] * 10)}]" for before, name in pairwise("abcdefghi")]
    assert refusals("\n".join(lines).encode()) == [
        "f.yaml:5:8: with its aliases written out the file has more than 20000 values: write them out yourself"
    ]


def test_a_file_of_two_mebibytes_is_refused():
    assert refusals(b"#" * (2 * MOST_BYTES)) == ["f.yaml:1:1: the file has 2.0 MiB: a scenario is at most 1 MiB"]


def test_a_file_that_is_not_utf_8_is_refused_at_the_byte():
    assert refusals(b"a: 1\nb: \xff\n") == ["f.yaml:2:4: the byte 0xff is not UTF-8: save the file as UTF-8"]


def test_a_byte_order_mark_is_no_part_of_the_file():
    assert plain(parse_yaml(b"\xef\xbb\xbfa: 1\n", "f.yaml")) == {"a": 1}


@settings(deadline=None)
@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text):
    try:
        parse_yaml(text.encode("utf-8", errors="surrogatepass"), "f.yaml")
    except InvalidScenario as error:
        problems = error.problems
    else:
        return
    assert all(problem.line >= 1 and problem.column >= 1 and problem.text for problem in problems)
