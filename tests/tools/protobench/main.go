// SPDX-License-Identifier: Apache-2.0

// protobench: Go's net/http and grpc-go as ends of `make bench-proto` (tests/bench/proto.py); the counterparts of tests/bench/wire.c.
//
//	protobench http [CERT KEY]                 small answers over HTTP/2; prints "port N"
//	protobench grpc                            UnaryCall echoes; prints "port N"
//	protobench call PORT CALLS BYTES AT_ONCE   prints "RATE calls/s p99"
package main

import (
	"context"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	testing "google.golang.org/grpc/interop/grpc_testing"
)

func listen() net.Listener {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("port", l.Addr().(*net.TCPAddr).Port)
	return l
}

var answer = []byte("Hello, World!\n")

func serveHTTP(pair []string) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP2(true)
	protocols.SetUnencryptedHTTP2(true)
	s := &http.Server{Protocols: protocols, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("content-type", "text/plain")
		w.Write(answer)
	})}
	if len(pair) == 2 {
		return s.ServeTLS(listen(), pair[0], pair[1])
	}
	return s.Serve(listen())
}

type service struct {
	testing.UnimplementedTestServiceServer
}

func (service) UnaryCall(_ context.Context, r *testing.SimpleRequest) (*testing.SimpleResponse, error) {
	return &testing.SimpleResponse{Payload: r.Payload}, nil
}

func serveGRPC() error {
	s := grpc.NewServer()
	testing.RegisterTestServiceServer(s, service{})
	return s.Serve(listen())
}

func call(port string, calls, size, atOnce int) error {
	conn, err := grpc.NewClient("127.0.0.1:"+port, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return err
	}
	client := testing.NewTestServiceClient(conn)
	took := make([]time.Duration, calls)
	var all sync.WaitGroup
	begin := time.Now()
	for i := range atOnce {
		all.Go(func() {
			for n := i; n < calls; n += atOnce {
				ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
				since := time.Now()
				r, err := client.UnaryCall(ctx, &testing.SimpleRequest{Payload: &testing.Payload{Body: make([]byte, size)}})
				took[n] = time.Since(since)
				cancel()
				if err != nil || len(r.Payload.Body) != size {
					log.Fatal("the echo failed: ", err)
				}
			}
		})
	}
	all.Wait()
	rate := float64(calls) / time.Since(begin).Seconds()
	slices.Sort(took)
	fmt.Println("RATE", rate, took[calls*99/100].Seconds())
	return nil
}

func number(text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		log.Fatal(err)
	}
	return n
}

func main() {
	switch a := os.Args[1:]; {
	case len(a) > 0 && a[0] == "http":
		log.Fatal(serveHTTP(a[1:]))
	case len(a) == 1 && a[0] == "grpc":
		log.Fatal(serveGRPC())
	case len(a) == 5 && a[0] == "call":
		if err := call(a[1], number(a[2]), number(a[3]), number(a[4])); err != nil {
			log.Fatal(err)
		}
	default:
		log.Fatal("usage: protobench http [CERT KEY] | grpc | call PORT CALLS BYTES AT_ONCE")
	}
}
