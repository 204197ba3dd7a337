{{/* Names, labels, and readers of durations and sizes. */}}

{{- define "tracetally.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{/* At most 50 characters: a StatefulSet adds a hash of 11 to it, and the result is a label of 63. */}}
{{- define "tracetally.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{- default $full .Values.fullnameOverride | trunc 50 | trimSuffix "-" -}}
{{- end -}}

{{- define "tracetally.headless" -}}
{{- include "tracetally.fullname" . }}-headless
{{- end -}}

{{- define "tracetally.namespace" -}}
{{- default .Release.Namespace .Values.namespaceOverride -}}
{{- end -}}

{{/* Never more than these: they cannot be changed once the workload is there. */}}
{{- define "tracetally.selectorLabels" -}}
app.kubernetes.io/name: {{ include "tracetally.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "tracetally.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{ include "tracetally.selectorLabels" . }}
app.kubernetes.io/version: {{ default .Chart.AppVersion .Values.image.tag | replace "+" "_" | trunc 63 | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* Metadata of an object. Takes root, and if need be name, namespace, labels, annotations, component. */}}
{{- define "tracetally.metadata" -}}
name: {{ .name | default (include "tracetally.fullname" .root) }}
namespace: {{ .namespace | default (include "tracetally.namespace" .root) }}
labels:
  {{- include "tracetally.labels" .root | nindent 2 }}
  {{- with .component }}
  app.kubernetes.io/component: {{ . }}
  {{- end }}
  {{- with .labels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- with .annotations }}
annotations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{- define "tracetally.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{ .repository }}@{{ .digest }}
{{- else -}}
{{ .repository }}:{{ default $.Chart.AppVersion .tag }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "tracetally.serviceAccountName" -}}
{{- default (ternary (include "tracetally.fullname" .) "default" .Values.serviceAccount.create) .Values.serviceAccount.name -}}
{{- end -}}

{{/* Whether something outside of the chart sets the number of replicas. */}}
{{- define "tracetally.scaled" -}}
{{- if or .Values.autoscaling.enabled .Values.keda.enabled }}true{{ end -}}
{{- end -}}

{{/* The number of replicas on the cluster, under either kind; empty where there is none, or no cluster to ask. */}}
{{- define "tracetally.liveReplicas" -}}
{{- $found := dict -}}
{{- range $kind := list "Deployment" "StatefulSet" -}}
{{- with lookup "apps/v1" $kind (include "tracetally.namespace" $) (include "tracetally.fullname" $) -}}{{- $found = . -}}{{- end -}}
{{- end -}}
{{- with dig "spec" "replicas" "" $found -}}{{- int . -}}{{- end -}}
{{- end -}}

{{/* A duration as in `1m30s` in seconds; empty where it is only known when the service starts (`${VAR}`). */}}
{{- define "tracetally.seconds" -}}
{{- $text := toString . -}}
{{- if eq $text "0" -}}
0
{{- else if regexMatch "^([0-9]+(\\.[0-9]*)?(ns|us|ms|s|m|h|d))+$" $text -}}
{{- $units := dict "ns" 1e-9 "us" 1e-6 "ms" 1e-3 "s" 1.0 "m" 60.0 "h" 3600.0 "d" 86400.0 -}}
{{- $total := 0.0 -}}
{{- range regexFindAll "[0-9]+(\\.[0-9]*)?(ns|us|ms|s|m|h|d)" $text -1 -}}
{{- $unit := regexFind "[a-z]+$" . -}}
{{- $total = addf $total (mulf (float64 (trimSuffix "." (trimSuffix $unit .))) (get $units $unit)) -}}
{{- end -}}
{{- $total -}}
{{- end -}}
{{- end -}}

{{/* A size as in `1Gi` or `256MiB` in bytes; empty where it cannot be known. */}}
{{- define "tracetally.bytes" -}}
{{- $text := kindIs "string" . | ternary . (toJson .) -}}
{{- $units := dict "" 1.0 "B" 1.0 "k" 1e3 "kB" 1e3 "KB" 1e3 "M" 1e6 "MB" 1e6 "G" 1e9 "GB" 1e9 "T" 1e12 "Ki" 1024.0 "KiB" 1024.0 "Mi" 1048576.0 "MiB" 1048576.0 "Gi" 1073741824.0 "GiB" 1073741824.0 "Ti" 1099511627776.0 -}}
{{- $unit := regexFind "[A-Za-z]*$" $text -}}
{{- $number := trimSuffix " " (trimSuffix $unit $text) -}}
{{- if and (hasKey $units $unit) (regexMatch "^[0-9]+(\\.[0-9]+)?$" $number) -}}
{{- mulf (float64 $number) (get $units $unit) | int64 -}}
{{- end -}}
{{- end -}}

{{/* Megabytes for the heap of Node.js; empty where it decides itself. */}}
{{- define "tracetally.heap" -}}
{{- with dig "limits" "memory" "" .Values.resources -}}
{{- with include "tracetally.bytes" . -}}
{{- if gt (int $.Values.heapPercent) 0 -}}
{{- divf (mulf (float64 .) (float64 $.Values.heapPercent)) 104857600.0 | floor | int64 -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
