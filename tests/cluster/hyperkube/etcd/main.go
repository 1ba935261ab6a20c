// SPDX-License-Identifier: Apache-2.0

// Command etcd is the etcd server from its Go module (Debian's 3.4 lacks what
// the API server's watch cache asks of it).
package main

import (
	"os"

	"go.etcd.io/etcd/server/v3/etcdmain"
)

func main() { etcdmain.Main(os.Args) }
