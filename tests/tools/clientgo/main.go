// SPDX-License-Identifier: Apache-2.0

// Command clientgo uses client-go as controllers do, against the server of $KUBECONFIG: typed and dynamic clients, a shared
// informer with resync, a work queue, leader election, server-side apply, paging, conflicts. It prints a line a check.
// With the argument "restart FILE" it says "ready" in FILE, waits until the server was restarted, and goes on.
package main

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	coordv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	applyv1 "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/dynamic/dynamicinformer"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/tools/pager"
	"k8s.io/client-go/util/retry"
	"k8s.io/client-go/util/workqueue"
)

var passed, failed int

func check(name string, ok bool, detail ...any) {
	if ok {
		passed++
		return
	}
	failed++
	fmt.Println("FAIL", name, fmt.Sprint(detail...))
}

func must(name string, err error) {
	check(name, err == nil, err)
}

func within(d time.Duration, what func() bool) bool {
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if what() {
			return true
		}
	}
	return what()
}

var runs = schema.GroupVersionResource{Group: "kruntimes.io", Version: "v1alpha1", Resource: "runs"}

func run(name string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{"apiVersion": "kruntimes.io/v1alpha1", "kind": "Run",
		"metadata": map[string]any{"name": name}, "spec": map[string]any{"runtime": "bash", "args": []any{"true"}}}}
}

func main() {
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		fmt.Println("FAIL config", err)
		os.Exit(1)
	}
	config.QPS, config.Burst = -1, 0
	proto := *config
	proto.ContentType = "application/vnd.kubernetes.protobuf"
	proto.AcceptContentTypes = "application/vnd.kubernetes.protobuf,application/json"
	ctx := context.Background()
	cs, ps, dyn := kubernetes.NewForConfigOrDie(config), kubernetes.NewForConfigOrDie(&proto), dynamic.NewForConfigOrDie(config)
	cms := cs.CoreV1().ConfigMaps("default")

	// typed, as JSON and as protobuf
	_, err = cms.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "go"}, Data: map[string]string{"n": "0"}}, metav1.CreateOptions{})
	must("create", err)
	_, err = ps.CoreV1().ConfigMaps("default").Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "proto", Labels: map[string]string{"a": "b"}},
		BinaryData: map[string][]byte{"b": {0, 1, 2}}}, metav1.CreateOptions{})
	must("create by protobuf", err)
	got, err := ps.CoreV1().ConfigMaps("default").Get(ctx, "proto", metav1.GetOptions{})
	check("get", err == nil && len(got.BinaryData["b"]) == 3 && got.Labels["a"] == "b", err, got)
	_, err = cms.Get(ctx, "none", metav1.GetOptions{})
	check("not found", errors.IsNotFound(err), err)
	_, err = cms.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "go"}}, metav1.CreateOptions{})
	check("already exists", errors.IsAlreadyExists(err), err)

	// conflicts, many writers
	var wg sync.WaitGroup
	for i := 0; i < 8; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			err := retry.OnError(retry.DefaultBackoff, errors.IsConflict, func() error {
				return retry.RetryOnConflict(retry.DefaultBackoff, func() error {
					cm, err := cms.Get(ctx, "go", metav1.GetOptions{})
					if err != nil {
						return err
					}
					var n int
					fmt.Sscan(cm.Data["n"], &n)
					cm.Data["n"] = fmt.Sprint(n + 1)
					_, err = cms.Update(ctx, cm, metav1.UpdateOptions{})
					return err
				})
			})
			if err != nil {
				fmt.Println("FAIL retry", err)
			}
		}()
	}
	wg.Wait()
	cm, err := cms.Get(ctx, "go", metav1.GetOptions{})
	check("no update is lost", err == nil && cm.Data["n"] == "8", cm.Data, err)

	// server-side apply
	a := applyv1.ConfigMap("applied", "default").WithData(map[string]string{"k": "v"})
	_, err = cms.Apply(ctx, a, metav1.ApplyOptions{FieldManager: "one"})
	must("apply", err)
	_, err = cms.Apply(ctx, applyv1.ConfigMap("applied", "default").WithData(map[string]string{"k": "w"}), metav1.ApplyOptions{FieldManager: "two"})
	check("apply conflicts", errors.IsConflict(err), err)
	u, err := dyn.Resource(runs).Namespace("default").Apply(ctx, "dyn", run("dyn"), metav1.ApplyOptions{FieldManager: "one"})
	check("apply, dynamic", err == nil && u.GetManagedFields()[0].Manager == "one", err)

	// paging
	for i := 0; i < 25; i++ {
		_, err = cms.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{GenerateName: "page-", Labels: map[string]string{"page": "y"}}}, metav1.CreateOptions{})
		must("create page", err)
	}
	count, p := 0, pager.New(func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) { return cms.List(ctx, o) })
	p.PageSize = 4
	err = p.EachListItem(ctx, metav1.ListOptions{LabelSelector: "page=y"}, func(runtime.Object) error { count++; return nil })
	check("paging", err == nil && count == 25, count, err)
	must("delete collection", cms.DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{LabelSelector: "page=y"}))

	// an informer with resync, and a work queue
	stop := make(chan struct{})
	queue := workqueue.NewTypedRateLimitingQueue(workqueue.DefaultTypedControllerRateLimiter[string]())
	factory := dynamicinformer.NewDynamicSharedInformerFactory(dyn, 500*time.Millisecond)
	informer := factory.ForResource(runs).Informer()
	var mu sync.Mutex
	resyncs, phases := 0, map[string]string{}
	informer.AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(o any) { key, _ := cache.MetaNamespaceKeyFunc(o); queue.Add(key) },
		UpdateFunc: func(old, o any) {
			mu.Lock()
			if old.(*unstructured.Unstructured).GetResourceVersion() == o.(*unstructured.Unstructured).GetResourceVersion() {
				resyncs++
			}
			mu.Unlock()
			key, _ := cache.MetaNamespaceKeyFunc(o)
			queue.Add(key)
		},
		DeleteFunc: func(o any) { key, _ := cache.DeletionHandlingMetaNamespaceKeyFunc(o); queue.Add(key) },
	})
	go func() {
		for {
			key, down := queue.Get()
			if down {
				return
			}
			o, exists, _ := informer.GetStore().GetByKey(key)
			mu.Lock()
			if exists {
				phases[key], _, _ = unstructured.NestedString(o.(*unstructured.Unstructured).Object, "status", "phase")
			} else {
				delete(phases, key)
			}
			mu.Unlock()
			queue.Forget(key)
			queue.Done(key)
		}
	}()
	factory.Start(stop)
	check("informer syncs", cache.WaitForCacheSync(stop, informer.HasSynced))
	phase := func(name string) string { mu.Lock(); defer mu.Unlock(); return phases["default/"+name] }
	_, err = dyn.Resource(runs).Namespace("default").Create(ctx, run("seen"), metav1.CreateOptions{})
	must("create run", err)
	check("informer sees the end", within(20*time.Second, func() bool { return phase("seen") == "Succeeded" }), phase("seen"))
	check("resync", within(10*time.Second, func() bool { mu.Lock(); defer mu.Unlock(); return resyncs > 0 }))
	must("patch", func() error {
		_, err := dyn.Resource(runs).Namespace("default").Patch(ctx, "seen", types.MergePatchType, []byte(`{"metadata":{"labels":{"x":"y"}}}`), metav1.PatchOptions{})
		return err
	}())
	core := informers.NewSharedInformerFactory(ps, 0)
	podLister := core.Core().V1().Pods().Lister()
	core.Start(stop)
	core.WaitForCacheSync(stop)
	_ = podLister
	check("typed informer", within(10*time.Second, func() bool {
		l, err := ps.CoreV1().Pods("default").List(ctx, metav1.ListOptions{})
		return err == nil && len(l.Items) == 2
	}))

	// a restart of the server
	if len(os.Args) == 3 && os.Args[1] == "restart" {
		must("say ready", os.WriteFile(os.Args[2], []byte("ready"), 0o600))
		within(30*time.Second, func() bool { b, _ := os.ReadFile(os.Args[2]); return string(b) == "restarted" })
		check("after a restart", within(20*time.Second, func() bool {
			_, err := dyn.Resource(runs).Namespace("default").Create(ctx, run("after"), metav1.CreateOptions{})
			return err == nil || errors.IsAlreadyExists(err)
		}))
		check("the informer goes on", within(30*time.Second, func() bool { return phase("after") == "Succeeded" }), phase("after"))
	}
	must("delete", dyn.Resource(runs).Namespace("default").Delete(ctx, "seen", metav1.DeleteOptions{}))
	check("informer sees it go", within(10*time.Second, func() bool { mu.Lock(); defer mu.Unlock(); _, there := phases["default/seen"]; return !there }))

	// leader election
	led := make(chan string, 4)
	elect := func(id string) context.CancelFunc {
		c, cancel := context.WithCancel(ctx)
		lock := &resourcelock.LeaseLock{LeaseMeta: metav1.ObjectMeta{Name: "go", Namespace: "default"}, Client: cs.CoordinationV1(), LockConfig: resourcelock.ResourceLockConfig{Identity: id}}
		go leaderelection.RunOrDie(c, leaderelection.LeaderElectionConfig{Lock: lock, LeaseDuration: 2 * time.Second, RenewDeadline: time.Second, RetryPeriod: 200 * time.Millisecond,
			ReleaseOnCancel: true, Callbacks: leaderelection.LeaderCallbacks{OnStartedLeading: func(context.Context) { led <- id }, OnStoppedLeading: func() {}}})
		return cancel
	}
	first := elect("a")
	check("a leads", <-led == "a")
	second := elect("b")
	first()
	select {
	case id := <-led:
		check("then b", id == "b", id)
	case <-time.After(10 * time.Second):
		check("then b", false, "nobody")
	}
	second()
	_, err = cs.CoordinationV1().Leases("default").Get(ctx, "go", metav1.GetOptions{})
	must("lease", err)
	_ = coordv1.Lease{}
	close(stop)
	queue.ShutDown()
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		os.Exit(1)
	}
}
