// SPDX-License-Identifier: Apache-2.0

// Command coreschema prints k8s/core_schema.def: what the core kinds look like, read from the sources of Kubernetes' own API
// modules: names, types, protobuf numbers, and how lists are merged. It follows types from the roots below.
package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
)

var roots = []string{
	"core/v1.Namespace", "core/v1.Node", "core/v1.Pod", "core/v1.Event", "core/v1.Secret", "core/v1.ConfigMap", "core/v1.Service",
	"core/v1.ServiceAccount", "core/v1.PersistentVolumeClaim", "apps/v1.Deployment", "batch/v1.Job", "coordination/v1.Lease",
	"networking/v1.NetworkPolicy", "rbac/v1.Role", "rbac/v1.RoleBinding", "rbac/v1.ClusterRole", "rbac/v1.ClusterRoleBinding",
	"authorization/v1.SelfSubjectAccessReview", "authorization/v1.SelfSubjectRulesReview", "authorization/v1.SubjectAccessReview",
	"authorization/v1.LocalSubjectAccessReview", "authentication/v1.SelfSubjectReview", "authentication/v1.TokenReview",
	"authentication/v1.TokenRequest", "autoscaling/v1.Scale", "meta/v1.DeleteOptions",
}

type typ struct {
	spec *ast.TypeSpec
	doc  string
	file *ast.File
}

var types = map[string]typ{} // "core/v1.Pod"

func load(name, dir string) {
	fset := token.NewFileSet()
	pkgs, err := parser.ParseDir(fset, dir, func(i os.FileInfo) bool {
		return !strings.HasSuffix(i.Name(), "_test.go") && !strings.HasPrefix(i.Name(), "generated")
	}, parser.ParseComments)
	check(err)
	for _, p := range pkgs {
		for _, f := range p.Files {
			for _, d := range f.Decls {
				g, ok := d.(*ast.GenDecl)
				if !ok || g.Tok != token.TYPE {
					continue
				}
				for _, s := range g.Specs {
					t := s.(*ast.TypeSpec)
					doc := t.Doc.Text()
					if g.Doc != nil {
						doc += comments(g.Doc)
					}
					types[name+"."+t.Name.Name] = typ{t, doc, f}
				}
			}
		}
	}
}

func comments(g *ast.CommentGroup) (out string) {
	if g != nil {
		for _, c := range g.List {
			out += c.Text + "\n"
		}
	}
	return
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "coreschema:", err)
		os.Exit(1)
	}
}

// The folder of a module's sources; a module that nothing was built from yet has none before it is downloaded.
func module(path string) string {
	check(exec.Command("go", "mod", "download", path).Run())
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", path).Output()
	check(err)
	return strings.TrimSpace(string(out))
}

var scalars = map[string]string{"string": "string", "bool": "bool", "int32": "int32", "int64": "int64", "int": "int64", "uint32": "int64", "byte": "byte", "float64": "any"}
var special = map[string]string{
	"meta/v1.Time": "time", "meta/v1.MicroTime": "microtime", "meta/v1.FieldsV1": "raw", "meta/v1.Duration": "string",
	"resource.Quantity": "quantity", "intstr.IntOrString": "intorstring", "runtime.RawExtension": "raw",
}

// The package that a selector in this file stands for.
func imported(f *ast.File, name string) string {
	for _, i := range f.Imports {
		path := strings.Trim(i.Path.Value, `"`)
		base := filepath.Base(path)
		if i.Name != nil {
			base = i.Name.Name
		}
		if base != name {
			continue
		}
		path = strings.TrimPrefix(strings.TrimPrefix(path, "k8s.io/api/"), "k8s.io/apimachinery/pkg/apis/")
		path = strings.TrimPrefix(path, "k8s.io/apimachinery/pkg/api/")
		return strings.TrimPrefix(strings.TrimPrefix(path, "k8s.io/apimachinery/pkg/util/"), "k8s.io/apimachinery/pkg/")
	}
	return name
}

var queue []string
var queued = map[string]bool{}

func want(name string) {
	if !queued[name] {
		queued[name] = true
		queue = append(queue, name)
	}
}

// A type as the table writes it.
func write(e ast.Expr, pkg string, f *ast.File) string {
	switch x := e.(type) {
	case *ast.StarExpr:
		return "*" + write(x.X, pkg, f)
	case *ast.ArrayType:
		if id, ok := x.Elt.(*ast.Ident); ok && id.Name == "byte" {
			return "bytes"
		}
		return "[]" + write(x.Elt, pkg, f)
	case *ast.MapType:
		return "map:" + write(x.Value, pkg, f)
	case *ast.SelectorExpr:
		return named(imported(f, x.X.(*ast.Ident).Name) + "." + x.Sel.Name)
	case *ast.Ident:
		if s, ok := scalars[x.Name]; ok {
			return s
		}
		return named(pkg + "." + x.Name)
	}
	return "any"
}

func named(name string) string {
	if s, ok := special[name]; ok {
		return s
	}
	if name == "types.UID" {
		return "string"
	}
	t, ok := types[name]
	if !ok {
		fmt.Fprintln(os.Stderr, "coreschema: no type", name)
		os.Exit(1)
	}
	pkg := name[:strings.LastIndex(name, ".")]
	if _, ok := t.spec.Type.(*ast.StructType); ok {
		want(name)
		return name
	}
	under := write(t.spec.Type, pkg, t.file)
	if strings.HasPrefix(under, "[]") { // a named list is a message of its own in protobuf
		return "wrapped" + under
	}
	return under
}

var listType = regexp.MustCompile(`\+(listType|structType|mapType)=(\w+)`)
var listKey = regexp.MustCompile(`\+listMapKey=(\w+)`)

func field(x *ast.Field, pkg string, f *ast.File) string {
	tag := reflect.StructTag("")
	if x.Tag != nil {
		tag = reflect.StructTag(strings.Trim(x.Tag.Value, "`"))
	}
	json := strings.Split(tag.Get("json"), ",")
	proto := strings.Split(tag.Get("protobuf"), ",")
	number := "0"
	if len(proto) > 1 {
		number = proto[1]
	}
	inline := json[0] == "" && strings.Contains(tag.Get("json"), "inline")
	if json[0] == "-" || (inline && number == "0") {
		return ""
	}
	name := json[0]
	if inline {
		name = "-"
	}
	doc := comments(x.Doc)
	out := fmt.Sprintf("%s %s %s", name, number, write(x.Type, pkg, f))
	if !strings.Contains(tag.Get("json"), "omitempty") && !strings.Contains(doc, "+optional") && !inline {
		out += " !"
	}
	if m := listType.FindStringSubmatch(doc); m != nil {
		switch {
		case m[2] == "map":
			var keys []string
			for _, k := range listKey.FindAllStringSubmatch(doc, -1) {
				keys = append(keys, k[1])
			}
			out += " map=" + strings.Join(keys, ",")
		case m[2] == "set" || m[2] == "atomic":
			out += " " + m[2]
		}
	}
	if s := tag.Get("patchStrategy"); s != "" {
		if strings.Contains(s, "merge") {
			out += " merge=" + tag.Get("patchMergeKey")
		}
		if strings.Contains(s, "retainKeys") {
			out += " retainKeys"
		}
		if s == "replace" {
			out += " replace"
		}
	}
	return out
}

func main() {
	api, machinery := module("k8s.io/api"), module("k8s.io/apimachinery")
	for _, p := range []string{"core/v1", "apps/v1", "batch/v1", "coordination/v1", "networking/v1", "rbac/v1", "authorization/v1", "authentication/v1", "autoscaling/v1"} {
		load(p, filepath.Join(api, p))
	}
	load("meta/v1", filepath.Join(machinery, "pkg/apis/meta/v1"))
	load("resource", filepath.Join(machinery, "pkg/api/resource"))
	load("intstr", filepath.Join(machinery, "pkg/util/intstr"))
	load("runtime", filepath.Join(machinery, "pkg/runtime"))
	load("types", filepath.Join(machinery, "pkg/types"))
	for _, r := range roots {
		want(r)
	}
	out := map[string]string{}
	for len(queue) > 0 {
		name := queue[0]
		queue = queue[1:]
		t := types[name]
		pkg := name[:strings.LastIndex(name, ".")]
		var b strings.Builder
		atomic := ""
		if strings.Contains(t.doc, "+structType=atomic") {
			atomic = " atomic"
		}
		fmt.Fprintf(&b, "TYPE(\"%s%s\",\n", name, atomic)
		for _, x := range t.spec.Type.(*ast.StructType).Fields.List {
			if line := field(x, pkg, t.file); line != "" {
				fmt.Fprintf(&b, "    \"%s\\n\"\n", line)
			}
		}
		out[name] = strings.TrimSuffix(b.String(), "\n") + ")\n"
	}
	var names []string
	for n := range out {
		names = append(names, n)
	}
	sort.Strings(names)
	fmt.Println(`/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What Kubernetes' core kinds look like. Generated by tests/tools/coreschema from the API modules that tests/tools/go.mod
 * pins; don't edit.
 *
 *   TYPE("GROUP/VERSION.NAME[ atomic]", "FIELD NUMBER TYPE [!] [map=KEYS|set|atomic] [merge=KEY] [retainKeys]\n" …)
 *
 * NUMBER is the field's in protobuf; FIELD "-" is inlined; "!" is required; map, set and atomic are list and map types of
 * server-side apply; merge is the key of a strategic merge patch.
 */`)
	for _, n := range names {
		fmt.Print(out[n])
	}
}
