"""What the YAML parser complains about, in sentences that say what to do."""

import re

import yaml

_TEMPLATE = re.compile(r"(?:^|[:,\[-])\s*([^\s:,{}\[\]]*\{\{.*?\}\}[^,#\]}\s]*)")
_COMPARISON = re.compile(r"(?:^|[:,\[-])\s+([<>]=?\s*[^,}\]#]*[^,}\]#\s])")

_DOES_NOT_FIT = "this line does not fit the lines above: check its indentation and the quotes before it"
_COLON = "a ':' is not expected here: quote a value that contains ': ', or indent the key like its neighbours"
_SENTENCES = (
    ("mapping values are not allowed", _COLON),
    ("could not find expected ':'", "a ':' is missing after the key"),
    ("undefined alias", "this alias refers to an anchor that is not defined before this line"),
    ("unexpected end of stream", "the quote or bracket that opens here is never closed"),
    ("expected ',' or '}'", "a ',' or the closing '}' is missing"),
    ("expected ',' or ']'", "a ',' or the closing ']' is missing"),
    ("unknown escape", "this backslash means nothing in double quotes: use single quotes, or write it twice"),
    ("did not find expected key", _DOES_NOT_FIT),
    ("block end", _DOES_NOT_FIT),
    ("block sequence", "a list item can not stand here: check its indentation"),
    ("did not find expected '-' indicator", "this line does not fit the list above: check its indentation"),
)  # fmt: skip


def sentence(error: yaml.MarkedYAMLError, text: str) -> tuple[int, int, str]:
    """Line, column (from 1) and a sentence for what the parser found."""
    mark = error.problem_mark or error.context_mark
    line, column = (mark.line, mark.column) if mark is not None else (0, 0)
    lines = text.split("\n")
    for number in dict.fromkeys([line, line - 1, error.context_mark.line if error.context_mark else line]):
        quoted = _needs_quotes(lines[number]) if 0 <= number < len(lines) else None
        if quoted is not None:
            return number + 1, quoted[0] + 1, f'put this value in quotes: "{quoted[1]}"'
    source = lines[line] if line < len(lines) else ""
    if "\t" in source[: column + 1]:
        return line + 1, source.index("\t") + 1, "a tab can not indent YAML: use spaces"
    return line + 1, column + 1, _translated(error, source[column : column + 1])


def _needs_quotes(line: str) -> tuple[int, str] | None:
    bare = re.sub(r"\"[^\"]*\"|'[^']*'", lambda found: "q" * len(found[0]), line)
    for pattern in (_TEMPLATE, _COMPARISON):
        found = pattern.search(bare)
        if found:
            return found.start(1), found[1]
    return None


def _translated(error: yaml.MarkedYAMLError, character: str) -> str:
    problem = f"{error.problem or ''} {error.context or ''}"
    for fragment, text in _SENTENCES:
        if fragment in problem:
            return text
    if "cannot start any token" in problem:
        return f"the character '{character}' can not begin a value: put the value in quotes"
    return f"this is not YAML: {error.problem or error.context or 'it can not be read'}"
