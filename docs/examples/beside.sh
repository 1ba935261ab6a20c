#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# beside.sh RUNTIME PORT: a Runtime whose only pod is made by hand, on a local instance: our sidecar as a process beside a Runtime
# Server that listens on 127.0.0.1:PORT. For trying a server of your own (docs/custom-runtime.md); in a cluster the controller does
# all of this. Runs until it is told to end.
set -eu
runtime=${1:?name of the Runtime} port=${2:?port of the Runtime Server}
pod=$runtime-by-hand dir=$(mktemp -d)
ip=127.78.$((port / 256)).$((port % 256))      # the pod's address, for logs: any of loopback
mkdir "$dir/workspace" "$dir/state"
kubectl apply -f - <<END
apiVersion: kruntimes.io/v1alpha1
kind: Runtime
metadata: {name: $runtime}
spec:
  replicas: 0
  port: $port
  template:
    spec:
      containers: [{name: runtime, image: by-hand}]
---
apiVersion: v1
kind: Pod
metadata:
  name: $pod
  labels: {kruntimes.io/runtime: $runtime}
  annotations: {kruntimes.io/capacity.runs: "4"}
spec:
  containers: [{name: runtime, image: by-hand}]
END
kubectl patch pod "$pod" --subresource status --type merge \
    -p '{"status": {"phase": "Running", "podIP": "'"$ip"'", "conditions": [{"type": "Ready", "status": "True"}]}}'
exec kruntimes runtimed --pod-name "$pod" --pod-uid "$(kubectl get pod "$pod" -o jsonpath='{.metadata.uid}')" --namespace default \
    --runtime "$runtime" --capacity runs=4 --kubeconfig "$KUBECONFIG" --workspace "$dir/workspace" --state "$dir/state" \
    --secret-file "$dir/secret" --bind "$ip" --server-port "$port" --pages-bind off
