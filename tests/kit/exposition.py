# SPDX-License-Identifier: Apache-2.0
"""A page of metrics as a scraper reads it (Prometheus text format, OpenMetrics 1.0): what is wrong with it, as lines."""
import re

SAMPLE = re.compile(r'^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{([^{}]*)\})? (\S+)$')
LABEL = re.compile(r'^[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\\]|\\\\.)*"$')
SUFFIXES = {'counter': ('_total', '_created'), 'histogram': ('_bucket', '_sum', '_count', '_created'), 'info': ('_info',)}


def faults(page):
    found, types, helped, series, buckets = [], {}, set(), set(), {}
    lines = page.split('\n')
    if not page.endswith('\n'):
        found.append('no newline at the end')
    for line in filter(None, lines):
        words = line.split(' ', 3)
        if words[:2] == ['#', 'TYPE']:
            if words[2] in types:
                found.append('two TYPEs: ' + line)
            types[words[2]] = words[3]
            continue
        if words[:2] == ['#', 'HELP']:
            helped.add(words[2])
            continue
        if line.startswith('#'):
            if line != '# EOF':
                found.append('a comment: ' + line)
            continue
        m = SAMPLE.match(line)
        if not m:
            found.append('no sample: ' + line)
            continue
        name, labels, value = m.groups()
        family = next((f for f in types if name == f or any(name == f + x or name == f.removesuffix('_total') + x for x in SUFFIXES.get(types[f], ()))), None)
        if not family or family not in helped:
            found.append('no TYPE and HELP before: ' + line)
        if labels and not all(LABEL.match(x) for x in re.split(r',(?=[a-zA-Z_])', labels)):
            found.append('bad labels: ' + line)
        try:
            number = float(value)
        except ValueError:
            found.append('no number: ' + line)
            continue
        if (name, labels) in series:
            found.append('twice: ' + line)
        series.add((name, labels))
        if name.endswith('_bucket'):
            key = (name, re.sub(r',?le="[^"]*"', '', labels))
            if number < buckets.get(key, 0):
                found.append('a bucket smaller than the one before: ' + line)
            buckets[key] = number
        if types.get(family) == 'counter' and number < 0:
            found.append('a counter below zero: ' + line)
    return found + ['%s is not ours to name' % t for t in types if not t.startswith(('kruntimes_', 'process_'))]
