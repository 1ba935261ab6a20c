# SPDX-License-Identifier: Apache-2.0
"""What the lint rules look at: the files of the tree, and C text without comments, strings and macros.

A function is found by its shape, not by a parser: at brace depth 0 a `{` whose text since the last `;` or `}` ends
in `)`. That holds for this tree's style (no K&R declarations, no braces split over #if branches).
"""
import os
import re
import subprocess
from collections import namedtuple

ROOMS = ["core", "grpc", "k8s", "crds", "applets", "cmd"]          # includes go down: to the left, or stay
Function = namedtuple("Function", "name first last static")


def files():
    """Every file that is or could be committed, relative to the top."""
    try:
        out = subprocess.run(["git", "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True, check=True)
        names = out.stdout.split("\n")
    except (OSError, subprocess.CalledProcessError):
        names = []
        for folder, subs, here in os.walk("."):
            subs[:] = [s for s in subs if s not in ("build", ".git", "__pycache__")]
            names += [os.path.relpath(os.path.join(folder, n), ".") for n in here]
    return sorted(n for n in names if n and os.path.isfile(n) and not os.path.islink(n))


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def is_text(path):
    """Inputs of fuzz targets are bytes that happen to look like text."""
    if path.startswith(("tests/fuzz/corpus/", "tests/fuzz/regress/")):
        return False
    with open(path, "rb") as f:
        return b"\0" not in f.read(65536)


def room(path):
    return path.split("/")[0]


TOKEN = re.compile(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", re.M | re.S)


def blank(m):
    """Same number of lines, nothing on them; a string keeps its quotes."""
    t = m.group(0)
    return ('""' if t[0] == '"' else "0" if t[0] == "'" else " ") + "\n" * t.count("\n")


def bare(text):
    """C without comments and with empty strings; line numbers stay."""
    return TOKEN.sub(blank, text)


def no_macros(text):
    """The same without preprocessor lines."""
    return DIRECTIVE.sub(lambda m: "\n" * m.group(0).count("\n"), bare(text))


NAME = re.compile(r"(\w+)\s*\((?:[^()]|\([^()]*\))*\)\s*(?:__attribute__\s*\(\(.*\)\)\s*)?$", re.S)


def functions(text):
    """The functions that a C text defines."""
    found, depth, line, since, first, begin, header = [], 0, 1, [], None, None, None
    for c in no_macros(text):
        if c == "\n":
            line += 1
        if depth == 0:
            if c == "{":
                header = "".join(since)
                begin = first
            if c in ";{}":
                since, first = [], None
            elif first is not None or not c.isspace():
                first = first or line
                since.append(c)
        depth += (c == "{") - (c == "}")
        if c == "}" and depth == 0:
            m = NAME.search(header)
            if m and "=" not in header:
                name = m.group(1) if m.group(1) != "TEST" else re.sub(r"\s+", "", header)
                found.append(Function(name, begin, line, bool(re.search(r"\b(static|TEST)\b", header))))
            since, first = [], None
    return found
