/* SPDX-License-Identifier: Apache-2.0 */
/*
 * texts: the objects of an installation as a reader of YAML wants to see them, in the order in which they are applied.
 * What differs between installations stands as a $WORD. manifests/ keeps the same texts with the values of the release,
 * proven equal by tests/lint/fresh. Deliberately not here: what a Runtime needs, which the controller makes.
 */
#include "applets/manifests/manifests.h"
#include "crds/crds.h"
#include "core/model_crd.h"

#define LABELS(indent) indent "app.kubernetes.io/name: kruntimes\n" indent "app.kubernetes.io/component: $NAME\n" indent "app.kubernetes.io/part-of: kruntimes\n"
#define SELECT(indent) indent "app.kubernetes.io/name: kruntimes\n" indent "app.kubernetes.io/component: $NAME\n"

static const char namespace_text[] =
    "# Pods here run under the strictest of Kubernetes' profiles.\n"
    "apiVersion: v1\n"
    "kind: Namespace\n"
    "metadata:\n"
    "  name: $NAMESPACE\n"
    "  labels:\n"
    "    app.kubernetes.io/name: kruntimes\n"
    "    app.kubernetes.io/part-of: kruntimes\n"
    "    pod-security.kubernetes.io/enforce: restricted\n"
    "    pod-security.kubernetes.io/audit: restricted\n"
    "    pod-security.kubernetes.io/warn: restricted\n";

/* Two replicas: one leads, the other takes over when the Lease is given up or runs out. */
static const char component_text[] =
    "apiVersion: apps/v1\n"
    "kind: Deployment\n"
    "metadata:\n"
    "  name: kruntimes-$NAME\n"
    "  namespace: $NAMESPACE\n"
    "  labels:\n" LABELS("    ")
    "spec:\n"
    "  replicas: $REPLICAS      # one leads, the others stand by\n"
    "  selector:\n"
    "    matchLabels:\n" SELECT("      ")
    "  strategy:\n"
    "    type: RollingUpdate\n"
    "    rollingUpdate:\n"
    "      maxSurge: 1\n"
    "      maxUnavailable: 0\n"
    "  template:\n"
    "    metadata:\n"
    "      labels:\n" LABELS("        ")
    "    spec:\n"
    "      serviceAccountName: kruntimes-$NAME\n"
    "      terminationGracePeriodSeconds: 10\n"
    "      securityContext:\n"
    "        runAsNonRoot: true\n"
    "        runAsUser: 65532\n"
    "        runAsGroup: 65532\n"
    "        seccompProfile:\n"
    "          type: RuntimeDefault\n"
    "      topologySpreadConstraints:\n"
    "      - maxSkew: 1\n"
    "        topologyKey: kubernetes.io/hostname\n"
    "        whenUnsatisfiable: ScheduleAnyway\n"
    "        labelSelector:\n"
    "          matchLabels:\n" SELECT("            ")
    "      containers:\n"
    "      - name: $NAME\n"
    "        image: $IMAGE\n"
    "        imagePullPolicy: IfNotPresent\n"
    "        command: [/kruntimes, $NAME$ARGS]\n"
    "        env:\n"
    "        - name: KRUNTIMES_NAMESPACE      # where the Lease is\n"
    "          valueFrom:\n"
    "            fieldRef:\n"
    "              fieldPath: metadata.namespace\n"
    "        - name: KRUNTIMES_POD_NAME       # who holds it\n"
    "          valueFrom:\n"
    "            fieldRef:\n"
    "              fieldPath: metadata.name\n";
static const char image_env_text[] =
    "        - name: KRUNTIMES_IMAGE          # of the sidecar in Runtime Pods: the same\n"
    "          value: $IMAGE\n";
static const char component_rest_text[] =
    "        ports:\n"
    "        - name: metrics\n"
    "          containerPort: 8080\n"
    "        - name: probes\n"
    "          containerPort: 8081\n"
    "        readinessProbe:\n"
    "          httpGet:\n"
    "            path: /readyz\n"
    "            port: probes\n"
    "          periodSeconds: 5\n"
    "        livenessProbe:                   # the loop turns; an API that is down restarts nothing\n"
    "          httpGet:\n"
    "            path: /livez\n"
    "            port: probes\n"
    "          periodSeconds: 10\n"
    "          timeoutSeconds: 5\n"
    "          failureThreshold: 6\n"
    "        resources:\n"
    "          requests:\n"
    "            cpu: 50m\n"
    "            memory: 32Mi\n"
    "          limits:\n"
    "            memory: 512Mi\n"
    "        securityContext:\n"
    "          allowPrivilegeEscalation: false\n"
    "          readOnlyRootFilesystem: true\n"
    "          capabilities:\n"
    "            drop: [ALL]\n"
    "---\n"
    "apiVersion: policy/v1\n"
    "kind: PodDisruptionBudget\n"
    "metadata:\n"
    "  name: kruntimes-$NAME\n"
    "  namespace: $NAMESPACE\n"
    "  labels:\n" LABELS("    ")
    "spec:\n"
    "  maxUnavailable: 1\n"
    "  unhealthyPodEvictionPolicy: AlwaysAllow\n"
    "  selector:\n"
    "    matchLabels:\n" SELECT("      ")
    "---\n"
    "# Each replica has figures of its own, so no address is shared.\n"
    "apiVersion: v1\n"
    "kind: Service\n"
    "metadata:\n"
    "  name: kruntimes-$NAME-metrics\n"
    "  namespace: $NAMESPACE\n"
    "  labels:\n" LABELS("    ")
    "spec:\n"
    "  clusterIP: None\n"
    "  selector:\n" SELECT("    ")
    "  ports:\n"
    "  - name: metrics\n"
    "    port: 8080\n"
    "    targetPort: metrics\n";

static const char network_text[] =
    "# Nothing comes in but who scrapes metrics, from namespaces labelled kruntimes.io/metrics=allowed.\n"
    "apiVersion: networking.k8s.io/v1\n"
    "kind: NetworkPolicy\n"
    "metadata:\n"
    "  name: kruntimes\n"
    "  namespace: $NAMESPACE\n"
    "  labels:\n"
    "    app.kubernetes.io/name: kruntimes\n"
    "    app.kubernetes.io/part-of: kruntimes\n"
    "spec:\n"
    "  podSelector: {}\n"
    "  policyTypes: [Ingress]\n"
    "  ingress:\n"
    "  - from:\n"
    "    - namespaceSelector:\n"
    "        matchLabels:\n"
    "          kruntimes.io/metrics: allowed\n"
    "    ports:\n"
    "    - protocol: TCP\n"
    "      port: 8080\n";

static const char priority_text[] =
    "# The API server serves the control plane before ordinary work, and its leases before that.\n"
    "apiVersion: flowcontrol.apiserver.k8s.io/v1\n"
    "kind: FlowSchema\n"
    "metadata:\n"
    "  name: kruntimes-leases\n"
    "  labels:\n"
    "    app.kubernetes.io/name: kruntimes\n"
    "    app.kubernetes.io/part-of: kruntimes\n"
    "spec:\n"
    "  priorityLevelConfiguration:\n"
    "    name: leader-election\n"
    "  matchingPrecedence: 200\n"
    "  distinguisherMethod:\n"
    "    type: ByUser\n"
    "  rules:\n"
    "  - subjects:\n"
    "    - kind: ServiceAccount\n"
    "      serviceAccount:\n"
    "        name: kruntimes-controller\n"
    "        namespace: $NAMESPACE\n"
    "    - kind: ServiceAccount\n"
    "      serviceAccount:\n"
    "        name: kruntimes-scheduler\n"
    "        namespace: $NAMESPACE\n"
    "    resourceRules:\n"
    "    - apiGroups: [coordination.k8s.io]\n"
    "      resources: [leases]\n"
    "      verbs: [get, create, patch]\n"
    "      namespaces: [\"*\"]\n"
    "---\n"
    "apiVersion: flowcontrol.apiserver.k8s.io/v1\n"
    "kind: FlowSchema\n"
    "metadata:\n"
    "  name: kruntimes\n"
    "  labels:\n"
    "    app.kubernetes.io/name: kruntimes\n"
    "    app.kubernetes.io/part-of: kruntimes\n"
    "spec:\n"
    "  priorityLevelConfiguration:\n"
    "    name: workload-high\n"
    "  matchingPrecedence: 950\n"
    "  distinguisherMethod:\n"
    "    type: ByUser\n"
    "  rules:\n"
    "  - subjects:\n"
    "    - kind: ServiceAccount\n"
    "      serviceAccount:\n"
    "        name: kruntimes-controller\n"
    "        namespace: $NAMESPACE\n"
    "    - kind: ServiceAccount\n"
    "      serviceAccount:\n"
    "        name: kruntimes-scheduler\n"
    "        namespace: $NAMESPACE\n"
    "    resourceRules:\n"
    "    - apiGroups: [\"*\"]\n"
    "      resources: [\"*\"]\n"
    "      verbs: [\"*\"]\n"
    "      clusterScope: true\n"
    "      namespaces: [\"*\"]\n";

/* Kubernetes 1.30 and later. RBAC can't say "only Runs of your own pod"; this does. */
static const char admission_text[] =
    "# Whoever may `act` on runs/runtimed (a verb that only the Roles of Runtimes give) changes nothing but Runs of their own\n"
    "# pod: their status, and the finalizers of the object. Known by the pod that the token is bound to.\n"
    "apiVersion: admissionregistration.k8s.io/v1\n"
    "kind: ValidatingAdmissionPolicy\n"
    "metadata:\n"
    "  name: kruntimes-runtimed\n"
    "  labels:\n"
    "    app.kubernetes.io/name: kruntimes\n"
    "    app.kubernetes.io/part-of: kruntimes\n"
    "spec:\n"
    "  failurePolicy: Fail\n"
    "  matchConstraints:\n"
    "    resourceRules:\n"
    "    - apiGroups: [kruntimes.io]\n"
    "      apiVersions: [v1alpha1]\n"
    "      operations: [UPDATE]\n"
    "      resources: [runs, runs/status]\n"
    "  matchConditions:\n"
    "  - name: is-a-runtimed\n"
    "    expression: >-\n"
    "      authorizer.group('kruntimes.io').resource('runs').subresource('runtimed').namespace(request.namespace).check('act').allowed()\n"
    "  - name: is-not-the-control-plane\n"
    "    expression: >-\n"
    "      !authorizer.group('kruntimes.io').resource('runs').subresource('controlplane').namespace(request.namespace).check('act').allowed()\n"
    "  variables:\n"
    "  - name: pod\n"
    "    expression: >-\n"
    "      has(request.userInfo.extra) && 'authentication.kubernetes.io/pod-name' in request.userInfo.extra\n"
    "      ? request.userInfo.extra['authentication.kubernetes.io/pod-name'][0] : ''\n"
    "  - name: podUID\n"
    "    expression: >-\n"
    "      has(request.userInfo.extra) && 'authentication.kubernetes.io/pod-uid' in request.userInfo.extra\n"
    "      ? request.userInfo.extra['authentication.kubernetes.io/pod-uid'][0] : ''\n"
    "  - name: ofStatus\n"
    "    expression: has(request.subResource) && request.subResource == 'status'\n"
    "  - name: assigned      # to a pod, in the object as it will be\n"
    "    expression: has(object.status) && (has(object.status.assignedPod) || has(object.status.assignedPodUID))\n"
    "  validations:\n"
    "  - expression: >-\n"
    "      variables.pod != '' && variables.podUID != '' && has(oldObject.status)\n"
    "      && has(oldObject.status.assignedPod) && oldObject.status.assignedPod == variables.pod\n"
    "      && has(oldObject.status.assignedPodUID) && oldObject.status.assignedPodUID == variables.podUID\n"
    "    message: the Run is not assigned to the pod that this token belongs to\n"
    "    reason: Forbidden\n"
    "  - expression: >-\n"
    "      !variables.ofStatus || !variables.assigned\n"
    "      || (has(object.status.assignedPod) && object.status.assignedPod == variables.pod\n"
    "      && has(object.status.assignedPodUID) && object.status.assignedPodUID == variables.podUID)\n"
    "    message: a Run's assignment is kept, or given back whole\n"
    "    reason: Forbidden\n"
    "  - expression: >-\n"
    "      !variables.ofStatus || !has(oldObject.status.phase)\n"
    "      || !(oldObject.status.phase in ['Succeeded', 'Failed', 'Timeout', 'Cancelled'])\n"
    "      || (has(object.status) && has(object.status.phase) && object.status.phase == oldObject.status.phase)\n"
    "    message: a Run that is over stays as it ended\n"
    "    reason: Forbidden\n"
    "  - expression: >-\n"
    "      variables.ofStatus || (object.spec == oldObject.spec\n"
    "      && has(object.metadata.labels) == has(oldObject.metadata.labels)\n"
    "      && (!has(object.metadata.labels) || object.metadata.labels == oldObject.metadata.labels)\n"
    "      && has(object.metadata.annotations) == has(oldObject.metadata.annotations)\n"
    "      && (!has(object.metadata.annotations) || object.metadata.annotations == oldObject.metadata.annotations)\n"
    "      && has(object.metadata.ownerReferences) == has(oldObject.metadata.ownerReferences)\n"
    "      && (!has(object.metadata.ownerReferences) || object.metadata.ownerReferences == oldObject.metadata.ownerReferences))\n"
    "    message: of the object itself only metadata.finalizers may be changed\n"
    "    reason: Forbidden\n"
    "---\n"
    "apiVersion: admissionregistration.k8s.io/v1\n"
    "kind: ValidatingAdmissionPolicyBinding\n"
    "metadata:\n"
    "  name: kruntimes-runtimed\n"
    "  labels:\n"
    "    app.kubernetes.io/name: kruntimes\n"
    "    app.kubernetes.io/part-of: kruntimes\n"
    "spec:\n"
    "  policyName: kruntimes-runtimed\n"
    "  validationActions: [Deny]\n";

void install_put_text(const struct install *in, const char *text, const char *component, struct buf *b)
{
    for (const char *p = text; *p;) {
        const char *word = strchr(p, '$');
        size_t n = word ? (size_t)(word - p) : strlen(p);
        buf_add(b, p, n);
        if (!word)
            return;
        struct str at = str_of(word);
        if (str_starts(at, S("$NAMESPACE"))) {
            buf_str(b, in->ns);
            p = word + sizeof "$NAMESPACE" - 1;
        } else if (str_starts(at, S("$IMAGE"))) {
            buf_str(b, in->image);
            p = word + sizeof "$IMAGE" - 1;
        } else if (str_starts(at, S("$REPLICAS"))) {
            buf_fmt(b, "%lld", (long long)in->replicas);
            p = word + sizeof "$REPLICAS" - 1;
        } else if (str_starts(at, S("$ARGS"))) {
            if (in->only.n)
                buf_fmt(b, ", --namespace=%.*s", SFMT(in->only));
            p = word + sizeof "$ARGS" - 1;
        } else if (str_starts(at, S("$NAME"))) {
            buf_lit(b, component);
            p = word + sizeof "$NAME" - 1;
        } else {
            buf_byte(b, '$');
            p = word + 1;
        }
    }
}

static void put_namespace(const struct install *in, struct buf *b) { install_put_text(in, namespace_text, NULL, b); }
static void put_network(const struct install *in, struct buf *b) { install_put_text(in, network_text, NULL, b); }
static void put_priority(const struct install *in, struct buf *b) { install_put_text(in, priority_text, NULL, b); }
static void put_admission(const struct install *in, struct buf *b) { install_put_text(in, admission_text, NULL, b); }

static void put_crds(const struct install *in, struct buf *b)
{
    (void)in;
    for (const struct model_type *const *t = crd_types; *t; t++) {
        buf_lit(b, t == crd_types ? "" : "---\n");
        model_crd_yaml(*t, b);
    }
}

static void put_component(const struct install *in, const char *name, bool image, struct buf *b)
{
    install_put_text(in, component_text, name, b);
    if (image)
        install_put_text(in, image_env_text, name, b);
    install_put_text(in, component_rest_text, name, b);
}

static void put_controller(const struct install *in, struct buf *b) { put_component(in, "controller", true, b); }
static void put_scheduler(const struct install *in, struct buf *b) { put_component(in, "scheduler", false, b); }

const struct install_part install_parts[] = {
    { "namespace", "the namespace of the installation", put_namespace },
    { "crds", "the kinds Run, Runtime and Workflow", put_crds },
    { "access", "accounts of the control plane, and what they may", install_put_access },
    { "roles", "roles to bind people to", install_put_people },
    { "admission", "what a Runtime Pod may write", put_admission },
    { "priority", "how the API server ranks our requests", put_priority },
    { "network", "who may reach the control plane", put_network },
    { "controller", "its Deployment, disruption budget and metrics", put_controller },
    { "scheduler", "the same for the scheduler", put_scheduler },
    { NULL, NULL, NULL },
};
