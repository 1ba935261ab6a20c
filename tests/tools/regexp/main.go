// SPDX-License-Identifier: Apache-2.0

// regexp: answers as Go's regexp does. Reads lines "PATTERN TEXT", both in hexadecimal digits ("-" for nothing), prints "true",
// "false", or "!" for a pattern that it refuses (tests/interop/regexp_go.py).
package main

import (
	"bufio"
	"encoding/hex"
	"fmt"
	"os"
	"regexp"
	"strings"
)

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		p, t, _ := strings.Cut(in.Text(), " ")
		pattern, _ := hex.DecodeString(strings.TrimPrefix(p, "-"))
		text, _ := hex.DecodeString(strings.TrimPrefix(t, "-"))
		if r, err := regexp.Compile(string(pattern)); err != nil {
			fmt.Fprintln(out, "!")
		} else {
			fmt.Fprintln(out, r.Match(text))
		}
	}
}
