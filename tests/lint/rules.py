# SPDX-License-Identifier: Apache-2.0
"""The rules. Each is a function (path, text) -> list of "line: what is wrong"; selftest.py shows each one a sinner."""
import os
import re

import tree

# ---- what a C file may say -------------------------------------------------------------------------------------

BANNED = {
    "strcpy strcat strncpy strncat sprintf vsprintf gets": "unbounded; use struct buf",
    "strtok atoi atol atoll atof scanf sscanf fscanf vsscanf": "no errors, no bounds; use str_cut, str_i64",
    "system popen": "runs a shell; use core/proc.h",
    "rand srand random srandom rand_r drand48": "use struct rnd",
    "sleep usleep nanosleep": "nothing waits but the loop",
    "alloca": "the stack has no budget; use an arena",
    "tmpnam tempnam mktemp": "use mkstemp or mkdtemp",
    "gethostbyname getaddrinfo": "blocks the loop; core/resolve.c owns it",
}
# Tests may be lavish; the product has one place that notices when memory is out.
BANNED_IN_PRODUCT = {
    "malloc calloc realloc strdup strndup asprintf vasprintf": "use xmalloc, xstrndup, struct buf or an arena",
}
# A banned name is allowed in a file for a reason that a reviewer accepted.
ALLOWED = {
    ("core/mem.c", "malloc"): "xmalloc itself",
    ("core/mem.c", "calloc"): "xcalloc itself",
    ("core/mem.c", "realloc"): "xrealloc itself",
    ("core/resolve.c", "getaddrinfo"): "called in a helper thread that answers through an eventfd",
}
WHY = {name: why for names, why in {**BANNED, **BANNED_IN_PRODUCT}.items() for name in names.split()}
LAVISH = {name for names in BANNED_IN_PRODUCT for name in names.split()}
CALL = re.compile(r"(?<![\w.>])(" + "|".join(WHY) + r")\s*\(")
NOW = re.compile(r"(?<![\w.>])time\s*\(\s*(NULL|0)\s*\)")


def lines_of(text):
    return enumerate(text.split("\n"), 1)


def banned(path, text):
    if not path.endswith((".c", ".h", ".def")) or path.startswith("core/deps/"):
        return []
    found = []
    for n, line in lines_of(tree.bare(text)):
        for name in CALL.findall(line):
            lavish = name in LAVISH and tree.room(path) not in tree.ROOMS
            if not lavish and (path, name) not in ALLOWED:
                found.append(f"{n}: {name}() is banned: {WHY[name]}")
        if NOW.search(line):
            found.append(f"{n}: time(NULL) is banned: time is an argument (struct clock)")
    return found


INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*"([^"]+)"', re.M)


def layering(path, text):
    """Includes are written from the top of the tree and go down; folders of applets don't know each other."""
    if not path.endswith((".c", ".h", ".def")) or tree.room(path) not in tree.ROOMS or path.startswith("core/deps/"):
        return []
    mine, found = tree.ROOMS.index(tree.room(path)), []
    for m in INCLUDE.finditer(text):
        name, line = m.group(1), text.count("\n", 0, m.start()) + 1
        if tree.room(name) not in tree.ROOMS:
            if not (path.startswith("grpc/proto/") and "/" not in name):     # generated
                found.append(f'{line}: "{name}" is not written from the top of the tree')
        elif tree.ROOMS.index(tree.room(name)) > mine:
            found.append(f'{line}: {tree.room(path)} must not include "{name}": includes go down only')
        elif foreign_applet(path, name):
            found.append(f'{line}: one applet must not include another\'s "{name}"; what two need moves down')
    return found


def foreign_applet(path, name):
    here, there = path.split("/"), name.split("/")
    if here[0] != "applets" or there[0] != "applets" or len(there) < 3:
        return False
    return len(here) < 3 or here[1] != there[1]


def typedefs(path, text):
    if not path.endswith((".c", ".h")) or tree.room(path) not in tree.ROOMS or generated(path, text):
        return []
    return [f"{n}: a typedef'd struct or pointer hides what it is"
            for n, line in lines_of(tree.bare(text)) if re.match(r"\s*typedef\s+(struct|union)\b", line)]


def opening(path, text):
    """A .c file says what it is before it begins: SPDX, then a comment of a few lines, or where its header tells."""
    if not path.endswith(".c") or tree.room(path) not in tree.ROOMS or generated(path, text):
        return []
    rest = text.split("\n", 1)[1] if "\n" in text else ""
    m = re.match(r"\s*/\*(.*?)\*/", rest, re.S)
    said = m.group(1) if m else ""
    return [] if len(said.split()) >= 8 or re.search(r"\bsee \S+\.h\b", said) else ["1: no opening comment that says what this file is for"]


LIMIT_ROW = re.compile(r"^LIMIT\((\w+),", re.M)
LIMIT_USE = re.compile(r"\bLIMIT_(\w+)\b")


def limits(path, text, used=None):
    """`kruntimes limits` prints what is enforced: each row is used somewhere."""
    if path != "core/limits.def":
        return []
    if used is None:
        used = {name for p in tree.files() if p.endswith((".c", ".h", ".def")) and tree.room(p) in tree.ROOMS for name in LIMIT_USE.findall(tree.read(p))}
    return [f"{text.count(chr(10), 0, m.start()) + 1}: nobody enforces LIMIT_{m.group(1)}" for m in LIMIT_ROW.finditer(text) if m.group(1) not in used]


def limit_tests(path, text, table=None, read=None):
    """Each limit is pushed over by a test, or limits.txt says why by none."""
    if path != "core/limits.def":
        return []
    rows = dict(line.split(None, 1) for line in (table or tree.read("tests/lint/limits.txt")).split("\n") if line and line[0] != "#")
    names, found = LIMIT_ROW.findall(text), []
    for name in sorted(set(names) ^ set(rows)):
        found.append(f"1: {name}: " + ("tests/lint/limits.txt names no test that pushes it over" if name in names else "tests/lint/limits.txt has it, the table hasn't"))
    for name, row in rows.items():
        file, _, words = row.strip().partition(" ")
        words = words.strip()
        if not words or (file != "-" and words not in (read or read_if_there)(file)):
            found.append(f"1: {name}: " + (f"\"{words}\" isn't in {file} (tests/lint/limits.txt)" if file != "-" else "no reason why no test pushes it over"))
    return found


# ---- what is written into status and Events ------------------------------------------------------------------------

CAMEL = re.compile(r'"((?:[A-Z][a-z]+){2,}|OOMKilled)"')
GIVEN = re.compile(r'(?:\.reason = |set_end\(\w+, "\w+", |put_condition\([^;]*?[?:] |flow_blame\(\w+, |fail\(\w+, \w+, )"([A-Z]\w+)"')
WRITERS = ("applets/controller/", "applets/scheduler/", "applets/runtimed/", "crds/", "k8s/event.c")
# CamelCase words of Kubernetes, and of the cluster's own conditions, that they read or write and that are no reasons of ours.
OTHERS = {"RoleBinding", "ClusterRoleBinding", "ClusterRole", "FieldValueForbidden", "PodScheduled", "CrashLoopBackOff", "ReplicaFailure", "PodInitializing",
          "ContainerCreating", "ContainersReady", "FallbackToLogsOnError", "NotOffered", "BackoffLimitExceeded", "DeadlineExceeded"}


def reasons(path, text, sources=None):
    """Each reason that is written stands in crds/reasons.def, and each of its rows is written somewhere."""
    if path != "crds/reasons.def":
        return []
    known = set(re.findall(r'^(?:REASON|EVENT)\("\w+", +"(\w+)"', text, re.M))
    sources = sources or {p: tree.read(p) for p in tree.files() if p.startswith(WRITERS + ("applets/local/",)) and p.endswith(".c")}
    written = {w for t in sources.values() for w in CAMEL.findall(t) + GIVEN.findall(t)}
    all_words = {w for t in sources.values() for w in re.findall(r'"(\w+)"', t)}
    found = [f"1: {w}: it is written, and not in the table" for w in sorted(written - known - OTHERS)]
    return found + [f"1: {w}: nothing writes it" for w in sorted(known - all_words)]


def read_if_there(path):
    return tree.read(path) if path in tree.files() else ""


# ---- what any file may say -------------------------------------------------------------------------------------

SOURCE = (".c", ".h", ".def", ".py", ".sh", ".mk", ".proto", ".go")


def generated(path, text):
    return path.endswith((".pb.c", ".pb.h")) or bool(re.search(r"\bgenerated\b.*\b(do not|don't) edit\b", text[:400], re.I))


def spdx(path, text):
    script = text.startswith("#!") and not path.endswith(".md")
    if not (path.endswith(SOURCE) or script or path == "Makefile") or generated(path, text):
        return []
    return [] if "SPDX-License-Identifier: Apache-2.0" in "\n".join(text.split("\n")[:3]) else ["1: no SPDX line at the top"]


# Spelt in two halves so that this file passes its own rule.
LATER = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|WI" r"P)\b")


def later(path, text):
    return [f"{n}: \"{m.group(1)}\": finish it or refuse it with a clear message"
            for n, line in lines_of(text) for m in LATER.finditer(line) if not path.startswith("LICENSE")]


# Places of one machine. A path in a container image or of a service account is the product's business.
PLACE = re.compile(r"(?<![\w.$}])/(?:ro" r"ot|ho" r"me/\w+|wo" r"rk/(?:shared|brief|main|wt-\w+))(?:/|\b)")


def places(path, text):
    return [f"{n}: \"{m.group(0)}\" is a place of one machine" for n, line in lines_of(text) for m in PLACE.finditer(line)]


URL = re.compile(r"\b(?:https?|wss?|git|ssh)://(?:[^\s/@\"'<>`]*@)?([A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+)")
NAMED = re.compile(r"(^|\.)(example(\.(com|org|net))?|test|invalid|localhost|local|svc|internal)$")


def hosts(path, text, known=None):
    """Addresses in the tree are public ones that hosts.txt lists, or plainly not real."""
    known = known_hosts() if known is None else known
    found = []
    for n, line in lines_of(text):
        for host in URL.findall(line):
            low = host.lower()
            if low not in known and not NAMED.search(low) and not re.fullmatch(r"[\d.]+", low):
                found.append(f"{n}: host \"{host}\" is not in tests/lint/hosts.txt")
    return found


def known_hosts(cache=[]):
    if not cache:
        cache.append({w for line in tree.read("tests/lint/hosts.txt").split("\n") for w in line.split("#")[0].split()})
    return cache[0]


def spacing(path, text):
    found = []
    if text and not text.endswith("\n"):
        found.append("1: no newline at the end of the file")
    if path.endswith(SOURCE) and not generated(path, text):
        found += [f"{n}: space at the end of the line" for n, line in lines_of(text) if line != line.rstrip()]
    if path.endswith((".c", ".h", ".def")) and not generated(path, text):
        found += [f"{n}: a tab; indent with four spaces" for n, line in lines_of(text) if "\t" in line]
    return found


# ---- pages -----------------------------------------------------------------------------------------------------

LINK = re.compile(r"\]\(([\w./-]+)(?:#[^)]*)?\)")
NAMED_PATH = re.compile(r"`((?:core|grpc|k8s|crds|applets|cmd|manifests|tests|docs)/[a-z0-9_./-]*)`")


def links(path, text, there=os.path.exists):
    """What a page links to or names as a place of the tree is there."""
    if not path.endswith(".md"):
        return []
    here, found = os.path.dirname(path), []
    for n, line in lines_of(text):
        found += [f"{n}: \"{m}\" is not there" for m in LINK.findall(line) if not there(os.path.normpath(os.path.join(here, m)))]
        found += [f"{n}: \"{m}\" is not there" for m in NAMED_PATH.findall(line) if not there(m)]
    return found


# ---- two languages ---------------------------------------------------------------------------------------------

COMMENT = re.compile(r"\s+#\s.*$")
FIGURES = ("Figures", "On a cluster")         # their numbers stand on one page only


def outline(text):
    """A page's headings: level, title, and the lines of code below it without their comments."""
    found = []
    for line in text.split("\n"):
        m = re.match(r"(#+) (.*)", line)
        if m:
            found.append((m.group(1), m.group(2), []))
        elif line.startswith("    ") and found:
            found[-1][2].append(COMMENT.sub("", line).rstrip())
    return found


def twins(path, text, other=None):
    """The Chinese front page has the headings and the commands of the English one; its figures it may leave to that."""
    if path != "README.zh.md":
        return []
    english, chinese = outline(tree.read("README.md") if other is None else other), outline(text)
    if [e[0] for e in english] != [c[0] for c in chinese]:
        return [f"1: README.md has the headings {[e[1] for e in english]}, this page {[c[1] for c in chinese]}: translate what is new"]
    return [f"1: below \"{title}\" README.md has the commands {code}, this page {c[2]}"
            for (_, title, code), c in zip(english, chinese) if c[2] != code and (c[2] or title not in FIGURES)]


# ---- sizes -----------------------------------------------------------------------------------------------------

C_LINES, H_LINES, FUNCTION_LINES = 900, 160, 80


def size(path, text):
    if generated(path, text):
        return []
    n, found = text.count("\n"), []
    cap = C_LINES if path.endswith(".c") else H_LINES if path.endswith(".h") and tree.room(path) in tree.ROOMS else None
    if cap and n > cap:
        found.append(f"1: {n} lines; the most is {cap}")
    if path.endswith(".c"):
        for f in tree.functions(text):
            if f.last - f.first >= FUNCTION_LINES:
                found.append(f"{f.first}: {f.name}() has {f.last - f.first + 1} lines; the most is {FUNCTION_LINES}")
    return found


RULES = [layering, banned, size, typedefs, limits, limit_tests, reasons, opening, spdx, later, places, hosts, spacing, links, twins]
