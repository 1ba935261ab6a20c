#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Replays a corpus of API objects against any Kubernetes-style API server and reports what differs.

  replay.py cases.jsonl [--kubeconfig F | --server URL [--token T]] [--group kruntimes.io] [--namespace N]
         [--messages] [--only REGEX] [--record OUT] [-v]

A case: name, kind, op, objects[], expect (accept|reject), field, why, basis, actual{code,reason,message,fields[]}, also[], result.
  create        POST objects[0]
  update        POST objects[0], PUT each other one over it (uid and resourceVersion filled in); the last is judged
  merge-patch   POST objects[0], then each other one as application/merge-patch+json; the last is judged
  json-patch    the same with application/json-patch+json
  status-patch  POST objects[0], then each other one as merge patch on /status; the last is judged
  status-json-patch, scale-patch   likewise (JSON patch on /status, merge patch on /scale)
  apply         each object as server-side apply; the last is judged
fieldValidation: passed as the query parameter (none when absent: the server's default).
Shorthands inside objects, expanded here: {"$repeat":[text,n]} string, {"$list":[item,n]} list, {"$map":[key,value,n]} map;
"%d" in a list item or a map key or value becomes 0..n-1. "$name" is the object's name.
Compared: verdict, HTTP code, Status.reason, set of fields named in details.causes, result when recorded; message with --messages.
wording: why the text of ours differs; it is not compared then.
also: other HTTP codes that are as good; with one of those only the verdict and field are compared.
A 4xx or 5xx in a step before the last one makes the case fail.
"""
import argparse, base64, http.client, json, os, re, ssl, sys, tempfile, urllib.parse

PLURAL = {"Run": "runs", "Runtime": "runtimes", "Workflow": "workflows"}

def expand(v, i=None):
    if isinstance(v, str):
        return v.replace("%d", str(i)) if i is not None else v
    if isinstance(v, list):
        return [expand(x, i) for x in v]
    if isinstance(v, dict):
        if len(v) == 1:
            k, a = next(iter(v.items()))
            if k == "$repeat": return expand(a[0], i) * a[1]
            if k == "$list": return [expand(a[0], n) for n in range(a[1])]
            if k == "$map": return {expand(a[0] if isinstance(a[0], str) else expand(a[0]), n): expand(a[1], n) for n in range(a[2])}
        out = {}
        for k, x in v.items():
            m = re.fullmatch(r"\$repeat:(.*):(\d+)", k, re.S)      # a long map key
            out[m[1] * int(m[2]) if m else (k.replace("%d", str(i)) if i is not None else k)] = expand(x, i)
        return out
    return v

class Server:
    def __init__(self, a):
        self.token = a.token; ctx = None; server = a.server
        if not server:
            text = open(os.path.expanduser(a.kubeconfig)).read()
            try:
                cfg = json.loads(text)
            except ValueError:
                import yaml
                cfg = yaml.safe_load(text)
            by = lambda l, n: next(x for x in l if x["name"] == n)
            c = by(cfg["contexts"], a.context or cfg["current-context"])["context"]
            cl = by(cfg["clusters"], c["cluster"])["cluster"]; u = by(cfg["users"], c["user"])["user"]
            server = cl["server"]
            def file(d, key):
                if d.get(key): return os.path.join(os.path.dirname(os.path.abspath(a.kubeconfig)), d[key])
                if d.get(key + "-data"):
                    f = tempfile.NamedTemporaryFile(delete=False); f.write(base64.b64decode(d[key + "-data"])); f.close()
                    return f.name
            if server.startswith("https"):
                ctx = ssl.create_default_context(cafile=file(cl, "certificate-authority"))
                if cl.get("insecure-skip-tls-verify"): ctx.check_hostname = False; ctx.verify_mode = ssl.CERT_NONE
                if file(u, "client-certificate"): ctx.load_cert_chain(file(u, "client-certificate"), file(u, "client-key"))
            self.token = self.token or u.get("token") or (open(u["tokenFile"]).read().strip() if u.get("tokenFile") else None)
        elif server.startswith("https"):
            ctx = ssl.create_default_context(); ctx.check_hostname = False; ctx.verify_mode = ssl.CERT_NONE
        self.url = urllib.parse.urlsplit(server); self.ctx = ctx; self.con = None; self.group = a.group
    def raw(self, method, path, body=None, ctype="application/json"):
        for again in (1, 0):
            if self.con is None:
                h, p = self.url.hostname, self.url.port
                self.con = http.client.HTTPSConnection(h, p, context=self.ctx, timeout=60) if self.ctx else http.client.HTTPConnection(h, p, timeout=60)
            hd = {"Accept": "application/json"}
            if body is not None: hd["Content-Type"] = ctype
            if self.token: hd["Authorization"] = "Bearer " + self.token
            try:
                self.con.request(method, self.url.path.rstrip("/") + path, body, hd)
                r = self.con.getresponse(); data = r.read()
                if r.will_close: self.con = None
                return r.status, data, [w for k, w in r.getheaders() if k.lower() == "warning"]
            except (http.client.HTTPException, OSError) as e:
                self.con = None
                if not again: return 0, json.dumps({"kind": "Status", "reason": "Transport", "message": repr(e)}).encode(), []
    def call(self, method, path, obj=None, ctype="application/json"):
        body = None
        if obj is not None:
            body = obj if isinstance(obj, str) else json.dumps(obj, ensure_ascii=False)
            body = body.replace("kruntimes.io", self.group).encode("utf-8", "surrogatepass")
        code, data, warn = self.raw(method, path.replace("kruntimes.io", self.group), body, ctype)
        text = data.decode("utf-8", "replace").replace(self.group, "kruntimes.io")
        try: out = json.loads(text)
        except ValueError: out = {"kind": "Status", "reason": "NotJSON", "message": text[:400]}
        return code, out, [w.replace(self.group, "kruntimes.io") for w in warn]

def replay(s, c, ns):
    objs = [expand(o) for o in c["objects"]]
    name = c.get("objectName") or c["name"]
    def named(o):
        if isinstance(o, dict) and o.get("kind"):
            o = dict(o); m = o.get("metadata")
            if m is None: o["metadata"] = {"name": name}
            elif isinstance(m, dict) and "name" not in m and "generateName" not in m: o["metadata"] = dict(m, name=name)
        return o
    base = "/apis/kruntimes.io/v1alpha1/namespaces/%s/%s" % (ns, PLURAL[c["kind"]])
    q = {}
    if c.get("fieldValidation"): q["fieldValidation"] = c["fieldValidation"]
    op = c["op"]; made = None
    def path(p, **more):
        qq = dict(q, **more)
        return p + ("?" + urllib.parse.urlencode(qq) if qq else "")
    one = lambda n: base + "/" + urllib.parse.quote(n, safe="")
    try:
        if op == "apply":
            for i, o in enumerate(objs):
                o = named(o); made = o["metadata"]["name"]
                r = s.call("PATCH", path(one(made), fieldManager="corpus", force="true"), o, "application/apply-patch+yaml")
                if r[0] >= 300 or r[0] == 0: break
            return (r, i == len(objs) - 1)
        o = objs[0] if isinstance(objs[0], str) else named(objs[0])
        r = s.call("POST", path(base), o)
        if 200 <= r[0] < 300: made = r[1]["metadata"]["name"]
        i = 0
        for i, o in enumerate(objs[1:], 1):
            if r[0] >= 300 or r[0] == 0: return (r, False)
            if op == "update":
                o = named(o); o["metadata"] = dict(o["metadata"], resourceVersion=r[1]["metadata"]["resourceVersion"])
                r = s.call("PUT", path(one(made)), o)
            else:
                sub = "/status" if op.startswith("status-") else "/scale" if op.startswith("scale-") else ""
                ct = "application/json-patch+json" if "json-patch" in op else "application/merge-patch+json"
                r = s.call("PATCH", path(one(made) + sub), o, ct)
        return (r, True)
    finally:
        if made: s.call("DELETE", one(made) + "?gracePeriodSeconds=0")

def outcome(r):
    code, o, warn = r
    a = {"code": code}
    if 200 <= code < 300:
        if warn: a["warnings"] = warn
        return a
    a["reason"] = o.get("reason"); a["message"] = (o.get("message") or "")[:700]
    # "<nil>" is "some validation rules were not checked because the object was invalid": no field, and not compared
    a["fields"] = sorted({x["field"].lstrip(".") for x in (o.get("details") or {}).get("causes") or [] if x.get("field", "<nil>") != "<nil>"})
    a["causes"] = [{"reason": x.get("reason"), "field": x.get("field")} for x in (o.get("details") or {}).get("causes") or []][:12]
    return a

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("corpus", nargs="+"); ap.add_argument("--kubeconfig", default=os.environ.get("KUBECONFIG", "~/.kube/config"))
    ap.add_argument("--context"); ap.add_argument("--server"); ap.add_argument("--token"); ap.add_argument("--group", default="kruntimes.io")
    ap.add_argument("--namespace", default="corpus"); ap.add_argument("--messages", action="store_true"); ap.add_argument("--only")
    ap.add_argument("--record"); ap.add_argument("-v", action="store_true")
    a = ap.parse_args(); a.kubeconfig = os.path.expanduser(a.kubeconfig)
    s = Server(a)
    s.call("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": a.namespace}})
    ok = bad = 0; out = []; diffs = []
    for f in a.corpus:
        for line in open(f, encoding="utf-8"):
            if not line.strip(): continue
            c = json.loads(line)
            if a.only and not re.search(a.only, c["name"]): continue
            r, last = replay(s, c, a.namespace); got = outcome(r); d = []
            verdict = "accept" if 200 <= r[0] < 300 else "reject"
            if not last: d.append("an earlier step was refused")
            if verdict != c["expect"]: d.append("expected %s, got %s" % (c["expect"], verdict))
            if c.get("field") and verdict == "reject" and not any(x == c["field"] or x.startswith(c["field"]) for x in got["fields"]) and c["field"] not in got["message"]:
                d.append("field %s not named" % c["field"])
            if not a.record and got["code"] not in c.get("also", []):
                w = c["actual"]
                for k in ("code", "reason", "fields", "warnings") + (("message",) if a.messages and not c.get("wording") else ()):
                    if w.get(k) != got.get(k) and not (k == "fields" and verdict == "accept"): d.append("%s: recorded %s, got %s" % (k, json.dumps(w.get(k)), json.dumps(got.get(k))))
            if c.get("result") is not None and verdict == "accept":
                res = {k: r[1][k] for k in ("spec", "status") if k in r[1]}
                if a.record: c["result"] = res
                elif c["result"] != res: d.append("result: recorded %s, got %s" % (json.dumps(c["result"], sort_keys=True), json.dumps(res, sort_keys=True)))
            if a.record: c["actual"] = got; out.append(c)
            if d: bad += 1; diffs.append((c, d, got))
            else: ok += 1
            if a.v: print("%-4s %s %s %s" % ("FAIL" if d else "ok", c["name"], r[0], got.get("message", "")[:200]))
    for c, d, got in diffs:
        print("DIFF %s (%s %s, expect %s): %s" % (c["name"], c["kind"], c["op"], c["expect"], c.get("why", "")))
        for x in d: print("     " + x[:1500])
        if got.get("message"): print("     server: " + got["message"][:500])
    if a.record:
        with open(a.record, "w", encoding="utf-8") as f:
            for c in out: f.write(json.dumps(c, ensure_ascii=False) + "\n")
    print("%d passed, %d failed" % (ok, bad))
    return 1 if bad else 0

if __name__ == "__main__": sys.exit(main())
