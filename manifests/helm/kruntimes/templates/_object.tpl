{{- /* SPDX-License-Identifier: Apache-2.0 */}}
{{- /*
The chart has no objects of its own: files/ are the generated manifests (links to them; `helm package` packs what they link
to), and what a release wants differently is laid over each object here. So chart and kustomize base can't drift apart.
*/}}

{{- define "kruntimes.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end }}

{{- /* Is the kind switched on? Called with (list $ object). Prints "true" or nothing. */}}
{{- define "kruntimes.wanted" -}}
{{- $ := index . 0 -}}
{{- $o := index . 1 -}}
{{- if eq $o.kind "PodDisruptionBudget" -}}
{{- if $.Values.podDisruptionBudgets.install -}}true{{- end -}}
{{- else if eq $o.kind "Service" -}}
{{- if $.Values.metrics.services -}}true{{- end -}}
{{- else -}}true
{{- end -}}
{{- end }}

{{- /* A Deployment's own part. Called with (list $ object); changes the object. */}}
{{- define "kruntimes.deployment" -}}
{{- $ := index . 0 -}}
{{- $o := index . 1 -}}
{{- $image := include "kruntimes.image" $ -}}
{{- $_ := set $o.spec "replicas" (int $.Values.replicas) -}}
{{- $pod := $o.spec.template.spec -}}
{{- $c := first $pod.containers -}}
{{- $_ := set $c "image" $image -}}
{{- $_ := set $c "imagePullPolicy" ($.Values.image.pullPolicy | default "IfNotPresent") -}}
{{- range $c.env -}}
{{- if eq .name "KRUNTIMES_IMAGE" }}{{ $_ := set . "value" $image }}{{ end -}}
{{- end -}}
{{- with index ($.Values.extraArgs | default dict) $c.name -}}
{{- $_ := set $c "command" (concat $c.command .) -}}
{{- end -}}
{{- with $.Values.resources }}{{ $_ := set $c "resources" . }}{{ end -}}
{{- range $key := list "imagePullSecrets" "nodeSelector" "tolerations" "affinity" "priorityClassName" -}}
{{- with index $.Values $key }}{{ $_ := set $pod $key . }}{{ end -}}
{{- end -}}
{{- with $.Values.podAnnotations }}{{ $_ := set $o.spec.template.metadata "annotations" . }}{{ end -}}
{{- end }}

{{- /* Prints the objects of a file, for this release. Called with (list $ "files/name.yaml"). */}}
{{- define "kruntimes.objects" -}}
{{- $ := index . 0 -}}
{{- range splitList "\n---\n" (printf "\n%s" ($.Files.Get (index . 1))) }}
{{- $o := fromYaml . }}
{{- if $o.Error }}{{ fail $o.Error }}{{ end }}
{{- if and $o.kind (include "kruntimes.wanted" (list $ $o)) }}
{{- $meta := $o.metadata }}
{{- if $meta.namespace }}{{ $_ := set $meta "namespace" $.Release.Namespace }}{{ end }}
{{- range $o.subjects }}{{ $_ := set . "namespace" $.Release.Namespace }}{{ end }}
{{- if eq $o.kind "FlowSchema" }}
{{- range $o.spec.rules }}{{ range .subjects }}{{ $_ := set .serviceAccount "namespace" $.Release.Namespace }}{{ end }}{{ end }}
{{- end }}
{{- if eq $o.kind "CustomResourceDefinition" }}
{{- $_ := set $meta "annotations" (merge (dict "helm.sh/resource-policy" "keep") ($meta.annotations | default dict)) }}
{{- end }}
{{- $_ := set $meta "labels" (merge (dict "app.kubernetes.io/instance" $.Release.Name "app.kubernetes.io/managed-by" $.Release.Service) ($meta.labels | default dict)) }}
{{- if eq $o.kind "Deployment" }}{{ include "kruntimes.deployment" (list $ $o) }}{{ end }}
---
{{ toYaml $o }}
{{- end }}
{{- end }}
{{- end }}
