// SPDX-License-Identifier: Apache-2.0

// httpclient: Go's net/http as a client of an API server over HTTP/2, and of a plain port by prior knowledge. What it saw is printed
// one line a request: name, protocol, status, and a digest or a word (tests/interop/http_clients.py).
//
//	httpclient URL CAFILE TOKEN BODYFILE PLAINURL
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync"
)

func digest(b []byte) string { return fmt.Sprintf("%x", sha256.Sum256(b)) }

type client struct {
	http        http.Client
	base, token string
}

func (c *client) do(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	q, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if c.token != "" {
		q.Header.Set("Authorization", "Bearer "+c.token)
	}
	q.Header.Set("Content-Type", "application/json")
	return c.http.Do(q)
}

func (c *client) show(name, method, path string, body []byte, word func([]byte) string) {
	r, err := c.do(context.Background(), method, path, body)
	if err != nil {
		fmt.Println(name, err)
		return
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		fmt.Println(name, err)
		return
	}
	fmt.Println(name, r.Proto, r.StatusCode, word(b))
}

func (c *client) many(n int) {
	var group sync.WaitGroup
	var lock sync.Mutex
	good := 0
	for range n {
		group.Go(func() {
			r, err := c.do(context.Background(), "GET", "/version", nil)
			if err != nil {
				return
			}
			_, err = io.Copy(io.Discard, r.Body)
			r.Body.Close()
			lock.Lock()
			defer lock.Unlock()
			if err == nil && r.StatusCode == 200 && r.ProtoMajor == 2 {
				good++
			}
		})
	}
	group.Wait()
	fmt.Println("many HTTP/2.0 200", good)
}

func (c *client) watch(path string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	r, err := c.do(ctx, "GET", path, nil)
	if err != nil {
		fmt.Println("watch", err)
		return
	}
	line, _ := bufio.NewReaderSize(r.Body, 4<<20).ReadBytes('\n')
	var event struct{ Type string }
	json.Unmarshal(line, &event)
	fmt.Println("watch", r.Proto, r.StatusCode, event.Type)
}

func main() {
	pem, _ := os.ReadFile(os.Args[2])
	body, _ := os.ReadFile(os.Args[4])
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	c := &client{base: os.Args[1], token: os.Args[3]}
	c.http.Transport = &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	maps := "/api/v1/namespaces/default/configmaps"
	c.show("version", "GET", "/version", nil, digest)
	c.show("post", "POST", maps, body, func([]byte) string { return "" })
	c.show("get", "GET", maps+"/big", nil, func(b []byte) string {
		var o struct{ Data map[string]string }
		json.Unmarshal(b, &o)
		return digest([]byte(o.Data["k"]))
	})
	c.many(300)
	c.watch(maps + "?watch=true&fieldSelector=metadata.name=big")
	c.show("missing", "GET", maps+"/none", nil, func([]byte) string { return "" })
	c.show("delete", "DELETE", maps+"/big", nil, func([]byte) string { return "" })
	plain := &client{base: os.Args[5]}
	var p http.Protocols
	p.SetUnencryptedHTTP2(true)
	plain.http.Transport = &http.Transport{Protocols: &p}
	plain.show("plain", "GET", "/", nil, func(b []byte) string { return string(bytes.TrimSpace(b)) })
}
