// SPDX-License-Identifier: Apache-2.0

// promtool: Prometheus' own eyes on what we publish, as libraries (the program of that name takes minutes to build, for the
// sake of clouds that it can discover). A module of its own, as its dependencies would move the versions of Kubernetes' ones.
//
//	promtool rules FILE     a file of rules, as it is loaded; prints each expression
//	promtool metrics        expressions from stdin, one a line; prints the names of the metrics they ask for
//	promtool page TYPE      a page of metrics from stdin, as a scraper reads that content type; prints what its linter says
package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/model/textparse"
	"github.com/prometheus/prometheus/promql/parser"
)

func rules(path string) (bad bool) {
	groups, errs := rulefmt.ParseFile(path, false)
	for _, err := range errs {
		fmt.Println(err)
	}
	if len(errs) > 0 {
		return true
	}
	seen := map[string]bool{}
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			if seen[r.Alert+r.Record] {
				fmt.Printf("%s is there twice\n", r.Alert+r.Record)
				bad = true
			}
			seen[r.Alert+r.Record] = true
			fmt.Println(r.Expr)
		}
	}
	return bad
}

func metrics() (bad bool) {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		expr, err := parser.ParseExpr(lines.Text())
		if err != nil {
			fmt.Printf("bad %q: %v\n", lines.Text(), err)
			bad = true
			continue
		}
		parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
			if v, ok := n.(*parser.VectorSelector); ok {
				fmt.Println(v.Name)
			}
			return nil
		})
	}
	return bad
}

func page(contentType string) (bad bool) {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Println(err)
		return true
	}
	p, err := textparse.New(text, contentType, "", false, false, labels.NewSymbolTable())
	if err != nil {
		fmt.Println(err)
		return true
	}
	n := 0
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			fmt.Println(err)
			return true
		}
		if entry == textparse.EntrySeries {
			n++
		}
	}
	if !bytes.Contains([]byte(contentType), []byte("openmetrics")) {
		problems, err := promlint.New(bytes.NewReader(text)).Lint()
		if err != nil {
			fmt.Println(err)
			return true
		}
		for _, problem := range problems {
			fmt.Println(problem.Metric, problem.Text)
			bad = true
		}
	}
	fmt.Printf("%d series\n", n)
	return bad || n == 0
}

func main() {
	bad := true
	switch {
	case len(os.Args) == 3 && os.Args[1] == "rules":
		bad = rules(os.Args[2])
	case len(os.Args) == 2 && os.Args[1] == "metrics":
		bad = metrics()
	case len(os.Args) == 3 && os.Args[1] == "page":
		bad = page(os.Args[2])
	default:
		fmt.Println("promtool rules FILE | metrics | page TYPE")
	}
	if bad {
		os.Exit(1)
	}
}
