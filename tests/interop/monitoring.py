#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""monitoring: what we publish as Prometheus reads it (its own parsers), both formats; that phases are counted by Runtime; and
that rules and dashboard of manifests/monitoring ask for nothing that core/metrics.def doesn't have.
"""
import json, os, re, signal, subprocess, sys, urllib.request
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that reads YAML
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip monitoring: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), __file__], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
import exposition, handmade, yaml
from local import *

s = Suite()
FOLDER = os.path.join(TOP, 'manifests', 'monitoring')
OPEN = 'application/openmetrics-text'
PROCESS = {'kruntimes_build_info', 'process_cpu_seconds_total', 'process_resident_memory_bytes', 'process_virtual_memory_bytes', 'process_start_time_seconds', 'process_open_fds'}


def tool(name):
    got = subprocess.run([os.path.join(TOP, 'tests/tools/get'), name], capture_output=True, text=True)
    return (got.stdout.strip(), None) if got.returncode == 0 else (None, (got.stdout or got.stderr).strip())


def table():
    """Series that the product has: name → {label: words, or None for any}."""
    found = {name: {'version': None} for name in PROCESS}
    for row in subprocess.run([BINARY, 'docs', 'metrics'], capture_output=True, text=True).stdout.split('\n')[2:]:
        if not row:
            continue
        name, kind, label = [c.strip().strip('`') for c in row.split('|')[1:4]]
        labels = {k: set(v.split(',')) for k, v in re.findall(r'`?(\w+)`?: (\S+)', label)}
        labels.update({k: None for k in ('runtime_namespace', 'runtime') if k in label})
        for suffix in ('_bucket', '_sum', '_count') if kind == 'histogram' else ('',):
            found[name + suffix] = labels
    return found


def expressions(promtool):
    """(where, PromQL) of the rules and of the dashboard."""
    rules = subprocess.run([promtool, 'rules', os.path.join(FOLDER, 'alerts.yaml')], capture_output=True, text=True)
    s.check('Prometheus takes the rules', rules.returncode == 0, rules.stdout)
    groups = yaml.safe_load(open(os.path.join(FOLDER, 'alerts.yaml')))['groups']
    for group in groups:
        for rule in group['rules']:
            s.check('%s says what and what to do' % rule['alert'], rule['annotations'].keys() == {'summary', 'description'} and rule['labels']['severity'] in ('critical', 'warning', 'info'))
            yield rule['alert'], rule['expr']
    s.equal("the operator's object has the same rules", yaml.safe_load(open(os.path.join(FOLDER, 'operator', 'rule.yaml')))['spec']['groups'], groups)
    for panel in board()['panels']:
        for target in panel.get('targets', ()):
            yield panel['title'], target['expr'].replace('$__rate_interval', '5m').replace('$namespace', '.*').replace('$runtime', '.*')


def board():
    return json.load(open(os.path.join(FOLDER, 'dashboard.json')))


def names(promtool):
    known = table()
    s.check('the table is read', len(known) > 20 and known['kruntimes_runtimed_running_seconds_count']['phase'] >= {'Succeeded', 'Timeout'}, known)
    for where, text in expressions(promtool):
        text = ' '.join(text.split())
        got = subprocess.run([promtool, 'metrics'], input=text + '\n', capture_output=True, text=True)
        asked = set(got.stdout.split()) if got.returncode == 0 else set()
        s.check('%s: PromQL' % where, got.returncode == 0 and asked, got.stdout)
        s.equal('%s: its metrics are ours' % where, asked - known.keys(), set())
        for name, matchers in re.findall(r'(\w+)\{([^}]*)\}', text):
            for label, op, words in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', matchers):
                have = known.get(name, {}).get(label, set())
                s.check('%s: %s has %s' % (where, name, label), label in known.get(name, {}))
                s.check('%s: with %s' % (where, words), have is None or set(words.split('|')) <= have, have)


def shape():
    panels = [p for p in board()['panels']]
    s.equal('panels have numbers of their own', len({p['id'] for p in panels}), len(panels))
    cells = [(x, y) for p in panels for x in range(p['gridPos']['x'], p['gridPos']['x'] + p['gridPos']['w']) for y in range(p['gridPos']['y'], p['gridPos']['y'] + p['gridPos']['h'])]
    s.check('and places of their own', len(set(cells)) == len(cells) and max(x for x, _ in cells) == 23)
    kubectl, why = tool('kubectl')
    if not kubectl:
        s.skip('kustomize', why)
        return
    for folder, kinds in (('', ['ConfigMap', 'ConfigMap']), ('operator', ['PodMonitor', 'PrometheusRule'])):
        out = subprocess.run([kubectl, 'kustomize', os.path.join(FOLDER, folder)], capture_output=True, text=True)
        s.equal('kustomize takes monitoring/%s' % folder, (out.returncode, sorted(d['kind'] for d in yaml.safe_load_all(out.stdout or '{}') if d)), (0, kinds))


def fetch(url, accept):
    with urllib.request.urlopen(urllib.request.Request(url, headers={'Accept': accept}), timeout=DEADLINE) as r:
        return r.headers['Content-Type'], r.read().decode()


def page(promtool, what, url):
    """As both formats; returns the samples of the plain one."""
    for accept, wanted in (('text/plain', 'text/plain; version=0.0.4'), (OPEN + ';version=1.0.0;q=0.8,text/plain;q=0.5', OPEN + '; version=1.0.0')):
        kind, text = fetch(url, accept)
        s.check('%s answers %s' % (what, wanted), kind.startswith(wanted), kind)
        s.equal('%s: our look at it' % what, exposition.faults(text), [])
        got = subprocess.run([promtool, 'page', kind], input=text, capture_output=True, text=True)
        s.check("%s: Prometheus' look at it" % what, got.returncode == 0, got.stdout)
    text = fetch(url, 'text/plain')[1]
    return dict(line.rsplit(' ', 1) for line in text.split('\n') if line and line[0] != '#')


def counts(promtool):
    """Five Runs: what scheduler and pod counted of them."""
    port = handmade.free_port()
    with instance() as i:
        theirs = i.pids('scheduler')
        for pid in theirs:
            os.kill(pid, signal.SIGSTOP)      # so that ours, which can be asked, makes all decisions
        ours = subprocess.Popen([BINARY, 'scheduler', '--kubeconfig', os.path.join(i.state, 'kubeconfig'), '--no-leader-elect', '--metrics-bind', '127.0.0.1:%d' % port,
                                 '--probes-bind', 'off'], stderr=subprocess.DEVNULL)
        ends = {'one': ['true'], 'two': ['sleep 0.01'], 'three': ['exit 3'], 'late': ['sleep 60'], 'again': ['[ $KRUNTIME_ATTEMPT = 2 ]']}
        more = {'late': {'timeoutSeconds': 1}, 'again': {'retryPolicy': {'maxAttempts': 2, 'backoff': '10ms'}}}
        for name, args in ends.items():
            i.api.call('POST', RUNS, run_object(name, args, **more.get(name, {})))
        runs = i.wait(set(ends))
        s.equal('they end', {n: r['status']['phase'] for n, r in runs.items()}, {'one': 'Succeeded', 'two': 'Succeeded', 'three': 'Failed', 'late': 'Timeout', 'again': 'Succeeded'})
        sched = page(promtool, 'scheduler', 'http://127.0.0.1:%d/metrics' % port)
        daemon = collections.Counter()
        for pod in {r['status']['assignedPod'] for r in runs.values()}:
            ip = i.api.call('GET', handmade.PODS + '/' + pod)[1]['status']['podIP']
            daemon.update({k: float(v) for k, v in page(promtool, 'runtimed', 'http://%s:9094/metrics' % ip).items()})
        bash = 'runtime_namespace="default",runtime="bash"'
        s.equal('Pending', sched.get('kruntimes_scheduler_pending_seconds_count{%s}' % bash), '5')
        s.equal('Scheduled', daemon['kruntimes_runtimed_scheduled_seconds_count{%s}' % bash], 5)
        running = {w: daemon['kruntimes_runtimed_running_seconds_count{%s,phase="%s"}' % (bash, w)] for w in ('Succeeded', 'Failed', 'Timeout', 'Cancelled', 'retried')}
        s.equal('Running', running, {'Succeeded': 3, 'Failed': 1, 'Timeout': 1, 'Cancelled': 0, 'retried': 1})
        took = daemon['kruntimes_runtimed_running_seconds_sum{%s,phase="Timeout"}' % bash]
        s.check('the one of a second took one', 1 <= took < 30, took)
        ours.terminate()
        s.equal('the scheduler ends when told', ours.wait(20), 0)
        for pid in theirs:
            os.kill(pid, signal.SIGCONT)


promtool, why = tool('promtool')
shape()
if promtool:
    names(promtool)
    counts(promtool)
else:
    s.skip('rules, PromQL and pages', why)
s.end()
