"""Turns the committed facts about driver functions into what the compiler needs; called by the Makefile.

python generate.py BUILD_DIRECTORY
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

METADATA = Path(__file__).parent / "metadata"

# Functions with a wrapper in C (src/wrappers.c), because something has to be done after the driver answered. Their
# assembly stub exists, but the exported name is the wrapper's.
WRAPPED = {
    "cuInit",
    "cuGetProcAddress",
    "cuGetProcAddress_v2",
    "cuMemGetInfo_v2",
    "nvmlInit",
    "nvmlInit_v2",
    "nvmlInitWithFlags",
}

# Stubs without a name, for functions that the driver hands out and nobody knew at build time.
SPARE = 1024


class Function(NamedTuple):
    """A row of functions.csv; positions among the integer arguments, -1 for none."""

    name: str
    kind: str
    device: int
    context: int
    stream: int
    size: int

    @property
    def base(self) -> str:
        """The name that a program asks cuGetProcAddress for."""
        name = self.name
        for suffix in ("_ptsz", "_ptds"):
            name = name.removesuffix(suffix)
        head, _, tail = name.rpartition("_v")
        return head if head and tail.isdigit() else name


def functions() -> list[Function]:
    """In the order of strcmp, which the library's search relies on."""
    with (METADATA / "functions.csv").open(encoding="ascii") as file:
        rows = list(csv.reader(file))[1:]
    found = [Function(name, kind, *map(int, positions)) for name, kind, *positions in rows]
    return sorted(found, key=lambda function: function.name)


def c_constants(known: list[Function]) -> str:
    """functions.h: how many there are, and a constant per function for the C code that means a certain one."""
    lines = [
        f"#define FUNCTION_COUNT {len(known)}",
        f"#define SPARE_COUNT {SPARE}",
        "#define SLOT_COUNT (FUNCTION_COUNT + SPARE_COUNT)",
        "enum {",
        *(f"  SLOT_{function.name} = {slot}," for slot, function in enumerate(known)),
        "};",
    ]
    return "\n".join(lines) + "\n"


def c_table(known: list[Function]) -> str:
    """function_table.h. Names are offsets into one string: pointers would have to be relocated in every process."""
    devices = defaultdict(set)
    for function in known:
        devices[function.base].add(function.device)
    names, rows, offset = [], [], 0
    for function in known:
        names.append(f'  "{function.name}\\0"')
        per_thread = int(function.name.endswith(("_ptsz", "_ptds")))
        varies = int(len(devices[function.base]) > 1)
        positions = f"{function.device}, {function.context}, {function.stream}, {function.size}"
        rows.append(f"  {{{offset}, CLASS_{function.kind.upper()}, {positions}, {per_thread}, {varies}}},")
        offset += len(function.name) + 1
    lines = ["static const char function_names[] =", *names, ";"]
    lines += ["static const struct function_facts function_table[FUNCTION_COUNT] = {", *rows, "};"]
    return "\n".join(lines) + "\n"


def assembler_list(known: list[Function]) -> str:
    """functions.inc: one macro call per stub; what the macros are differs per processor."""
    named = [f"\tfunction {slot}, {one.name}, {int(one.name not in WRAPPED)}" for slot, one in enumerate(known)]
    spare = [f"\tspare {slot}" for slot in range(len(known), len(known) + SPARE)]
    return "\n".join(named + spare) + "\n"


def stub_names(known: list[Function], prefix: str) -> str:
    """Weak definitions of every name, which the implemented ones override."""
    lines = ["extern int stub_unimplemented(const char *);", "#define NAME(n) \\"]
    lines.append('  __attribute__((weak, visibility("default"))) int n(void) { return stub_unimplemented(#n); }')
    lines += [f"NAME({one.name})" for one in known if one.name.startswith(prefix)]
    return "\n".join(lines) + "\n"


def stub_tables(known: list[Function]) -> str:
    with (METADATA / "versions.csv").open(encoding="ascii") as file:
        versions = list(csv.reader(file))[1:]
    driver = [one.name for one in known if one.name.startswith("cu")]
    lines = ["struct stub_version { const char *asked; int since, per_thread; const char *function; };"]
    lines.append("static const struct stub_version stub_versions[] = {")
    lines += [f'  {{"{asked}", {since}, {thread}, "{name}"}},' for asked, since, thread, name in versions]
    lines += ["};", "#define STUB_VERSION_COUNT (sizeof stub_versions / sizeof stub_versions[0])"]
    # as data: only their addresses are wanted, and their types differ
    lines += [f'extern const char exported_{name}[] __asm__("{name}"), alias_{name}[];' for name in driver]
    lines.append("struct stub_function { const char *name, *exported, *alias; };")
    lines.append("static const struct stub_function stub_functions[] = {")
    lines += [f'  {{"{name}", exported_{name}, alias_{name}}},' for name in driver]
    lines += ["};", "#define STUB_FUNCTION_COUNT (sizeof stub_functions / sizeof stub_functions[0])"]
    return "\n".join(lines) + "\n"


def stub_aliases(known: list[Function]) -> str:
    """A second, hidden address for every function of the stand-in driver."""
    lines = ["#ifdef __aarch64__", "#define JUMP b", "#else", "#define JUMP jmp", "#endif", "\t.text"]
    for one in known:
        if one.name.startswith("cu"):
            alias = f"alias_{one.name}"
            lines += [f"\t.globl {alias}", f"\t.hidden {alias}", f"{alias}:\tJUMP {one.name}", "\t.p2align 4"]
    lines.append('\t.section .note.GNU-stack,"",%progbits')
    return "\n".join(lines) + "\n"


def main(target: Path) -> None:
    target.mkdir(parents=True, exist_ok=True)
    known = functions()
    content = {
        "functions.h": c_constants(known),
        "function_table.h": c_table(known),
        "functions.inc": assembler_list(known),
        "stub_cuda_names.c": stub_names(known, "cu"),
        "stub_nvml_names.c": stub_names(known, "nvml"),
        "stub_tables.h": stub_tables(known),
        "stub_aliases.S": stub_aliases(known),
    }
    for name, text in content.items():
        (target / name).write_text(text, encoding="ascii")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
