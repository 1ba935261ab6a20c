// SPDX-License-Identifier: Apache-2.0

// cel: answers expressions as cel-go does. Reads lines "EXPRESSION<TAB>…", prints "EXPRESSION<TAB>VALUE", the value as JSON, "!"
// for an error of any kind. Nothing is type-checked, as the data is of unknown types: what counts is what evaluating says.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/ext"
)

const data = `{"s":"héllo","n":5,"t":true,"l":[1,2,3],"e":[],"m":{"a":1,"b":2},"o":{"x":"y"},"list":[{"name":"a","v":1},{"name":"b","v":2}]}`

func text(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(s)
	return strings.TrimSuffix(b.String(), "\n")
}

func show(v ref.Val) string {
	switch x := v.(type) {
	case types.Bool:
		return strconv.FormatBool(bool(x))
	case types.Int:
		return strconv.FormatInt(int64(x), 10)
	case types.Double:
		return strconv.FormatFloat(float64(x), 'f', -1, 64)
	case types.String:
		return text(string(x))
	case types.Null:
		return "null"
	case traits.Lister:
		parts := []string{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			parts = append(parts, show(it.Next()))
		}
		return "[" + strings.Join(parts, ",") + "]"
	case traits.Mapper:
		parts := []string{}
		for it := x.Iterator(); it.HasNext() == types.True; {
			k := it.Next()
			key := show(k)
			if !strings.HasPrefix(key, `"`) {
				key = text(key)
			}
			parts = append(parts, key+":"+show(x.Get(k)))
		}
		sort.Strings(parts)
		return "{" + strings.Join(parts, ",") + "}"
	}
	return "?" + v.Type().TypeName()
}

func numbers(v any) any {
	switch x := v.(type) {
	case json.Number:
		if i, err := x.Int64(); err == nil {
			return i
		}
		f, _ := x.Float64()
		return f
	case map[string]any:
		for k := range x {
			x[k] = numbers(x[k])
		}
	case []any:
		for i := range x {
			x[i] = numbers(x[i])
		}
	}
	return v
}

func main() {
	env, err := cel.NewEnv(cel.Variable("self", cel.DynType), ext.Strings())
	if err != nil {
		panic(err)
	}
	var self any
	d := json.NewDecoder(strings.NewReader(data))
	d.UseNumber()
	d.Decode(&self)
	self = numbers(self)
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	for in.Scan() {
		expr, _, _ := strings.Cut(in.Text(), "\t")
		out := "!"
		if ast, iss := env.Parse(expr); iss.Err() == nil {
			if p, err := env.Program(ast, cel.CostLimit(1000000)); err == nil {
				if v, _, err := p.Eval(map[string]any{"self": self}); err == nil {
					out = show(v)
				}
			}
		}
		fmt.Printf("%s\t%s\n", expr, out)
	}
}
