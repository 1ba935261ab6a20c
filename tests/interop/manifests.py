#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""manifests: `kruntimes manifests` and manifests/ say the same by kustomize, and an overlay reaches every place.

What needs a cluster (does it install, does the admission policy refuse) is tests/cluster's.
"""
import json, os, shutil, subprocess, sys, tempfile
HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
if not os.environ.get('KR_VENV'):      # again, with the Python that reads YAML
    venv = subprocess.run([os.path.join(TOP, 'tests', 'tools', 'venv')], capture_output=True, text=True)
    if venv.returncode:
        print('skip manifests: %s' % (venv.stdout.strip() or venv.stderr.strip()))
        print('0 passed, 0 failed, 1 skipped')
        sys.exit(0)
    os.execve(venv.stdout.strip(), [venv.stdout.strip(), __file__], dict(os.environ, KR_VENV='1'))
sys.path.insert(0, os.path.join(HERE, '..', 'kit'))
from local import BINARY, Suite
import yaml


def tool(name):
    """A test program's path, or why it can't be had."""
    got = subprocess.run([os.path.join(TOP, 'tests/tools/get'), name], capture_output=True, text=True)
    return (got.stdout.strip(), None) if got.returncode == 0 else (None, (got.stdout or got.stderr).strip())


def objects(text):
    """By kind, namespace and name: the order of documents says nothing."""
    found = [d for d in yaml.safe_load_all(text) if d]
    for d in found:      # kustomize takes kinds that it doesn't know for namespaced; an API server drops that
        if d['kind'] in ('FlowSchema', 'ValidatingAdmissionPolicy', 'ValidatingAdmissionPolicyBinding'):
            d['metadata'].pop('namespace', None)
    by_name = {(d['kind'], d['metadata'].get('namespace', ''), d['metadata']['name']): d for d in found}
    assert len(by_name) == len(found), 'an object stands there twice'
    return by_name


def differences(a, b):
    return ['/'.join(k) for k in sorted(a.keys() | b.keys()) if a.get(k) != b.get(k)]


def main():
    s = Suite()
    print_ = lambda *args: subprocess.run([BINARY, 'manifests', *args], capture_output=True, text=True)
    ours = print_()
    s.equal('manifests prints', ours.returncode, 0)
    for args, why in ((['--image', 'a b'], 'no reference to an image'), (['--namespace', 'A'], 'no name of a namespace'),
                      (['--only-namespace', 'x/y'], 'no name of a namespace'), (['--replicas', '0'], 'replicas'), (['--part', 'x'], 'no part "x"')):
        bad = print_(*args)
        s.check('%s is refused' % args, bad.returncode != 0 and not bad.stdout and why in bad.stderr, bad.stderr)
    kubectl, why = tool('kubectl')
    if not kubectl:
        s.skip('kustomize', why)
        s.end()
    kustomize = lambda folder: subprocess.run([kubectl, 'kustomize', folder], capture_output=True, text=True)
    base = kustomize(os.path.join(TOP, 'manifests'))
    s.equal('kustomize takes the base', (base.returncode, base.stderr), (0, ''))
    s.equal('both print the same objects', differences(objects(base.stdout), objects(ours.stdout)), [])
    s.check('and there are some', len(objects(ours.stdout)) > 25)
    with tempfile.TemporaryDirectory() as d:
        for folder in ('manifests', 'crds'):
            shutil.copytree(os.path.join(TOP, folder), os.path.join(d, folder))
        os.mkdir(os.path.join(d, 'mine'))
        with open(os.path.join(d, 'mine', 'kustomization.yaml'), 'w') as f:
            f.write('resources: [../manifests]\nnamespace: elsewhere\n'
                    'images: [{name: localhost/kruntimes, newName: registry.example.com/kr, newTag: "9"}]\n')
        mine = kustomize(os.path.join(d, 'mine'))
    s.equal('kustomize takes an overlay', (mine.returncode, mine.stderr), (0, ''))
    s.equal('an overlay of namespace and image is what the options print',
            differences(objects(mine.stdout), objects(print_('--namespace', 'elsewhere', '--image', 'registry.example.com/kr:9').stdout)), [])
    one = kustomize(os.path.join(TOP, 'manifests/overlays/one-namespace'))
    s.equal('the overlay for one namespace is what the option prints', differences(objects(one.stdout), objects(print_('--only-namespace', 'default').stdout)), [])
    single = objects(kustomize(os.path.join(TOP, 'manifests/overlays/single-replica')).stdout)
    s.equal('a single replica has no disruption budget', differences(single, {k: v for k, v in objects(print_('--replicas', '1').stdout).items()
                                                                              if k[0] != 'PodDisruptionBudget'}), [])
    other_peoples_eyes(s, ours.stdout)
    s.end()


def other_peoples_eyes(s, ours):
    """Kubernetes' own types, PodSecurity and Helm's engine, as libraries."""
    program, why = tool('manifests')
    if not program:
        s.skip('types, PodSecurity, Helm', why)
        return
    run = lambda *args, text='': subprocess.run([program, *args], input=text, capture_output=True, text=True)
    checked = run('check', text=ours)
    s.check('Kubernetes\' types take every field, and PodSecurity restricted the pods', checked.returncode == 0 and ' 2 pods, 0 bad' in checked.stdout, checked.stdout)
    bad = run('check', text=ours.replace('runAsNonRoot: true', 'runAsNotRoot: true', 1))
    s.check('(that look sees a wrong field)', bad.returncode == 1 and 'runAsNotRoot' in bad.stdout, bad.stdout)
    bad = run('check', text=ours.replace('drop: [ALL]', 'drop: [NET_RAW]', 1))
    s.check('(and a lax pod)', bad.returncode == 1 and 'unrestricted capabilities' in bad.stdout, bad.stdout)
    runtime_pods(s, run)
    chart(s, run, ours)


def runtime_pods(s, run):
    """The pods that the controller makes of Runtimes: the plans of its golden tests."""
    folder, seen = os.path.join(TOP, 'tests/golden/plans/controller'), 0
    for name in sorted(n for n in os.listdir(folder) if n.endswith('.plan')):
        applied, of = [], None
        for line in open(os.path.join(folder, name)):
            if not line.startswith('    '):
                of = [] if line.startswith('apply ') else None
                applied += [of] if of is not None else []
            elif of is not None:
                of.append(line[4:])
        if not applied:
            continue
        checked = run('check', text='---\n'.join(''.join(of) for of in applied))
        pods = sum('kind: Deployment\n' in of for of in applied)
        seen += pods
        lax = name == 'runtime_root.plan'      # which asks for more than restricted gives
        s.check('%s: Kubernetes takes it%s' % (name, '' if lax else ', and PodSecurity restricted its pods'),
                (', %d pods, 0 bad' % pods in checked.stdout) or lax and 'not restricted' in checked.stdout, checked.stdout)
    s.check('there were Deployments among the plans', seen >= 4, seen)


def chart(s, run, ours):
    folder = os.path.join(TOP, 'manifests/helm/kruntimes')
    lint = run('lint', folder)
    s.check('Helm\'s linter is content', lint.returncode == 0, lint.stdout)

    def render(values, namespace='kruntimes-system'):
        with tempfile.NamedTemporaryFile('w', suffix='.yaml') as f:
            yaml.safe_dump(values, f)
            f.flush()
            return run('helm', folder, 'release', namespace, f.name)

    def plain(text):
        """Without what says that Helm did it, and the namespace, which Helm's user makes."""
        found = objects(text)
        for o in found.values():
            for key in ('app.kubernetes.io/instance', 'app.kubernetes.io/managed-by'):
                o['metadata'].get('labels', {}).pop(key, None)
            if o['kind'] == 'CustomResourceDefinition':
                o['metadata'].pop('annotations', None)
                o['metadata'].pop('labels', None)
        return {k: v for k, v in found.items() if k[0] != 'Namespace'}

    default = render({})
    s.check('the chart renders', default.returncode == 0, default.stderr[-500:])
    s.equal('and is what the base is', differences(plain(default.stdout), plain(ours)), [])
    s.check('the kinds outlive the release', all(o['metadata']['annotations'].get('helm.sh/resource-policy') == 'keep' for o in objects(default.stdout).values()
                                                 if o['kind'] == 'CustomResourceDefinition'))
    versions = lambda text: {o['metadata']['annotations'].get('kruntimes.io/version') for o in objects(text).values() if o['kind'] == 'CustomResourceDefinition'}
    mine = subprocess.run([BINARY, 'version'], capture_output=True, text=True).stdout
    s.check('and say which build they are from', len(versions(ours)) == 1 and versions(ours) == versions(default.stdout) and versions(ours).pop() in mine, (versions(ours), mine))
    other = render({'image': {'repository': 'registry.example.com/kr', 'tag': '9'}, 'replicas': 3}, 'elsewhere')
    printed = subprocess.run([BINARY, 'manifests', '--namespace', 'elsewhere', '--image', 'registry.example.com/kr:9', '--replicas', '3'], capture_output=True, text=True)
    s.equal('values do what options do', differences(plain(other.stdout), plain(printed.stdout)), [])
    less = render({'crds': {'install': False}, 'roles': {'install': False}, 'admissionPolicy': {'install': False}, 'flowSchemas': {'install': False},
                   'networkPolicy': {'install': False}, 'podDisruptionBudgets': {'install': False}, 'metrics': {'services': False}})
    s.equal('what is switched off is left out', {k[0] for k in objects(less.stdout)},
            {'ServiceAccount', 'ClusterRole', 'ClusterRoleBinding', 'Role', 'RoleBinding', 'Deployment'})
    all_ = render({'image': {'repository': 'kr', 'digest': 'sha256:' + 64 * 'a', 'pullPolicy': 'Always'}, 'imagePullSecrets': [{'name': 'pull'}],
                   'extraArgs': {'controller': ['--node-lost-after=10m']}, 'nodeSelector': {'a': 'b'}, 'tolerations': [{'operator': 'Exists'}],
                   'priorityClassName': 'high', 'podAnnotations': {'c': 'd'}, 'resources': {'limits': {'memory': '1Gi'}},
                   'affinity': {'nodeAffinity': {}}})
    found = {k[2]: v['spec']['template'] for k, v in objects(all_.stdout).items() if k[0] == 'Deployment'}
    pod = found['kruntimes-controller']['spec']
    one = pod['containers'][0]
    image = 'kr@sha256:' + 64 * 'a'
    s.equal('all values reach the pods', (one['image'], one['imagePullPolicy'], [e['value'] for e in one['env'] if e['name'] == 'KRUNTIMES_IMAGE'], one['command'],
                                          one['resources'], pod['imagePullSecrets'], pod['nodeSelector'], pod['tolerations'], pod['priorityClassName'],
                                          pod['affinity'], found['kruntimes-scheduler']['metadata']['annotations']),
            (image, 'Always', [image], ['/kruntimes', 'controller', '--node-lost-after=10m'], {'limits': {'memory': '1Gi'}}, [{'name': 'pull'}], {'a': 'b'},
             [{'operator': 'Exists'}], 'high', {'nodeAffinity': {}}, {'c': 'd'}))
    taken = run('check', text=all_.stdout)
    s.check('and Kubernetes takes it', taken.returncode == 0, taken.stdout)
    for values, why in (({'replica': 1}, 'replica'), ({'replicas': 0}, 'replicas'), ({'image': {'repository': 'a b'}}, 'repository'),
                        ({'extraArgs': {'controller': ['x']}}, 'controller'), ({'image': {'repository': 'a', 'digest': 'sha256:1'}}, 'digest')):
        bad = render(values)
        s.check('%s is refused' % values, bad.returncode != 0 and why in bad.stderr, bad.stderr[-300:])


main()
