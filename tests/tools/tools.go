// SPDX-License-Identifier: Apache-2.0

//go:build tools

// Package tools names the programs written in Go that the tests use, so that
// go.mod pins them. "tests/tools/get NAME" builds one outside the tree.
package tools

import (
	_ "github.com/summerwind/h2spec/cmd/h2spec"
	_ "github.com/versity/versitygw/cmd/versitygw"
	_ "google.golang.org/grpc/interop/client"
	_ "google.golang.org/grpc/interop/server"
)
