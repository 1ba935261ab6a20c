// SPDX-License-Identifier: Apache-2.0

// A Runtime Server in Go, from executor.proto alone (docs/custom-runtime.md). It executes commands; put your own way of
// executing into start.
//
//	GOBIN=$PWD/bin go install tool
//	PATH=$PWD/bin:$PATH protoc -I ../../../grpc/proto --go_out=. --go_opt=module=example.com/runtime \
//	    --go_opt=Mexecutor.proto=example.com/runtime/executor --go-grpc_out=. --go-grpc_opt=module=example.com/runtime \
//	    --go-grpc_opt=Mexecutor.proto=example.com/runtime/executor executor.proto
//	go run . 9091
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	pb "example.com/runtime/executor"
)

const limit = 1 << 20 // bytes of each stream that Status and List show

// output keeps the first MiB of a stream.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
	cut  bool
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	room := min(len(p), limit-o.text.Len())
	o.text.Write(p[:room])
	o.cut = o.cut || room < len(p)
	return len(p), nil
}

// String is valid UTF-8, as string fields must be, and cut between characters.
func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.text.Bytes()
	if !o.cut {
		return strings.ToValidUTF8(string(b), "\uFFFD")
	}
	for n := 0; n < utf8.UTFMax && len(b) > 0 && !utf8.Valid(b[max(0, len(b)-utf8.UTFMax):]); n++ {
		if r, size := utf8.DecodeLastRune(b); r != utf8.RuneError || size > 1 {
			break
		}
		b = b[:len(b)-1]
	}
	return strings.ToValidUTF8(string(b), "\uFFFD") + "\n[cut]\n"
}

type execution struct {
	id       string
	cmd      *exec.Cmd
	out, err output
	done     chan struct{} // closed when it is over
	late     bool
}

func (x *execution) kill() { syscall.Kill(-x.cmd.Process.Pid, syscall.SIGKILL) } // the group: all that it started

func (x *execution) status() *pb.StatusResponse {
	s := &pb.StatusResponse{Id: x.id, State: pb.ExecutionState_EXECUTION_STATE_RUNNING, Stdout: x.out.String(), Stderr: x.err.String()}
	select {
	case <-x.done:
	default:
		return s
	}
	s.State = pb.ExecutionState_EXECUTION_STATE_SUCCEEDED
	s.ExitCode = int32(x.cmd.ProcessState.ExitCode())
	if w, ok := x.cmd.ProcessState.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		s.ExitCode = 128 + int32(w.Signal())
	}
	if s.ExitCode != 0 || x.late {
		s.State = pb.ExecutionState_EXECUTION_STATE_FAILED
	}
	if x.late {
		s.ErrorMessage = "it took longer than it may"
	}
	return s
}

type server struct {
	pb.UnimplementedRuntimeServer
	mu  sync.Mutex
	all map[string]*execution
}

// start begins an execution: a file of the workspace with arguments, a script, or a command as it is.
func start(q *pb.ExecuteRequest) (*execution, error) {
	argv := q.Args
	if info, err := os.Stat(filepath.Join(q.WorkingDir, q.Entrypoint)); q.Entrypoint != "" && err == nil && info.Mode().IsRegular() {
		argv = append([]string{"sh", q.Entrypoint}, q.Args...)
	} else if len(q.Args) == 1 {
		argv = []string{"sh", "-c", q.Args[0]}
	} else if len(q.Args) == 0 {
		return nil, status.Error(codes.InvalidArgument, "nothing to execute: neither a file of the workspace nor args")
	}
	x := &execution{id: q.Id, cmd: exec.Command(argv[0], argv[1:]...), done: make(chan struct{})}
	x.cmd.Dir, x.cmd.Stdout, x.cmd.Stderr = q.WorkingDir, &x.out, &x.err
	x.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	x.cmd.WaitDelay = time.Second // whoever left its group may hold the pipes
	x.cmd.Env = os.Environ()
	for k, v := range q.Env {
		x.cmd.Env = append(x.cmd.Env, k+"="+v)
	}
	if err := x.cmd.Start(); err != nil {
		return nil, status.Error(codes.InvalidArgument, err.Error())
	}
	go func() {
		if q.TimeoutSeconds > 0 {
			defer time.AfterFunc(time.Duration(q.TimeoutSeconds)*time.Second, func() { x.late = true; x.kill() }).Stop()
		}
		x.cmd.Wait()
		x.kill() // what it left behind
		close(x.done)
	}()
	return x, nil
}

func (s *server) find(id string) (*execution, error) {
	if x := s.all[id]; x != nil {
		return x, nil
	}
	return nil, status.Errorf(codes.NotFound, "no execution %q", id)
}

func (s *server) Execute(_ context.Context, q *pb.ExecuteRequest) (*pb.ExecuteResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all[q.Id] != nil {
		return nil, status.Errorf(codes.AlreadyExists, "execution %q is there", q.Id)
	}
	x, err := start(q)
	if err != nil {
		return nil, err
	}
	s.all[q.Id] = x
	return &pb.ExecuteResponse{Id: q.Id}, nil
}

func (s *server) Status(_ context.Context, q *pb.StatusRequest) (*pb.StatusResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.find(q.Id)
	if err != nil {
		return nil, err
	}
	return x.status(), nil
}

func (s *server) List(context.Context, *pb.ListRequest) (*pb.ListResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	answer, size := &pb.ListResponse{}, 0
	for _, x := range s.all {
		entry := x.status()
		size += len(entry.Stdout) + len(entry.Stderr)
		answer.Entries = append(answer.Entries, entry)
	}
	for _, entry := range answer.Entries {
		if size > 2*limit { // an answer beyond 4 MiB is refused by strict clients; Status has the text
			entry.Stdout, entry.Stderr = "", ""
		}
	}
	return answer, nil
}

func (s *server) Cancel(_ context.Context, q *pb.CancelRequest) (*pb.CancelResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.find(q.Id)
	if err != nil {
		return nil, err
	}
	x.kill()
	<-x.done
	delete(s.all, q.Id)
	return &pb.CancelResponse{}, nil
}

func (s *server) Forget(_ context.Context, q *pb.ForgetRequest) (*pb.ForgetResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, err := s.find(q.Id)
	if err != nil {
		return nil, err
	}
	select {
	case <-x.done:
		delete(s.all, q.Id)
		return &pb.ForgetResponse{}, nil
	default:
		return nil, status.Errorf(codes.FailedPrecondition, "execution %q still runs", q.Id)
	}
}

func (s *server) Health(context.Context, *pb.HealthRequest) (*pb.HealthResponse, error) {
	return &pb.HealthResponse{Healthy: true}, nil
}

func main() {
	port := "9091"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	s, g := &server{all: map[string]*execution{}}, grpc.NewServer()
	pb.RegisterRuntimeServer(g, s)
	fmt.Printf("listening on %d\n", listener.Addr().(*net.TCPAddr).Port)
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM)
	go func() { <-ended; g.Stop() }()
	if err := g.Serve(listener); err != nil && !errors.Is(err, grpc.ErrServerStopped) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, x := range s.all {
		x.kill()
	}
}
