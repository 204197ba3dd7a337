{{/*
What is scraped, for either kind of monitor; deploy/prometheus.yml says the same to a plain Prometheus. A monitor has
one limit of samples: where that of the self-metrics is another one than that of usage, there are two monitors.
*/}}

{{/* The endpoints that go into one monitor each, as JSON. */}}
{{- define "tracetally.monitors" -}}
{{- $usage := .Values.scrape.usage -}}
{{- $self := .Values.scrape.self -}}
{{- $name := include "tracetally.fullname" . -}}
{{- $parts := list -}}
{{- if and $usage.enabled $self.enabled (has (int64 $self.sampleLimit) (list (int64 0) (int64 $usage.sampleLimit))) -}}
{{- $parts = list (dict "name" $name "usage" true "self" true "sampleLimit" $usage.sampleLimit) -}}
{{- else -}}
{{- if $usage.enabled -}}{{- $parts = append $parts (dict "name" $name "usage" true "sampleLimit" $usage.sampleLimit) -}}{{- end -}}
{{- if $self.enabled -}}{{- $parts = append $parts (dict "name" (printf "%s-self" $name) "self" true "sampleLimit" $self.sampleLimit) -}}{{- end -}}
{{- end -}}
{{- toJson $parts -}}
{{- end -}}

{{- define "tracetally.endpoint" -}}
- port: http
  path: {{ .path }}
  interval: {{ .of.interval }}
  scrapeTimeout: {{ .of.scrapeTimeout }}
  honorLabels: {{ .of.honorLabels }}
  {{- with .shared }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
  {{- with concat .relabelings .of.relabelings }}
  relabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with concat .metricRelabelings .of.metricRelabelings }}
  metricRelabelings:
    {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Of both endpoints: how the HTTP server is to be asked, as JSON. */}}
{{- define "tracetally.endpoint.shared" -}}
{{- $shared := dict -}}
{{- if eq (include "tracetally.scheme" .) "HTTPS" -}}
{{- $_ := set $shared "scheme" "https" -}}
{{- with .Values.server.tls -}}
{{- if and .existingSecret .caKey -}}
{{- $host := printf "%s.%s.svc" (include "tracetally.fullname" $) (include "tracetally.namespace" $) -}}
{{- $_ := set $shared "tlsConfig" (dict "ca" (dict "secret" (dict "name" .existingSecret "key" .caKey)) "serverName" $host) -}}
{{- else -}}
{{- $_ := set $shared "tlsConfig" (dict "insecureSkipVerify" true) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- with .Values.server.auth -}}
{{- if and .existingSecret .metricsTokenKey -}}
{{- $_ := set $shared "authorization" (dict "credentials" (dict "name" .existingSecret "key" .metricsTokenKey)) -}}
{{- end -}}
{{- end -}}
{{- mergeOverwrite $shared (deepCopy .Values.scrape.extra) | toJson -}}
{{- end -}}

{{/* Takes root, and which of the two endpoints: usage, self. */}}
{{- define "tracetally.endpoints" -}}
{{- $settings := include "tracetally.settings" .root | fromJson -}}
{{- $shared := include "tracetally.endpoint.shared" .root | fromJson -}}
{{- if .usage }}
{{- $of := .root.Values.scrape.usage -}}
{{- $relabelings := list -}}
{{- with $of.dropTargetLabels -}}{{- $relabelings = list (dict "action" "labeldrop" "regex" (join "|" .)) -}}{{- end -}}
{{- $metricRelabelings := list -}}
{{- range $of.emptyLabels -}}
{{- $rule := dict "sourceLabels" (list "__name__") "regex" (printf "%s_.+" $settings.publish.metric_prefix) "targetLabel" . -}}
{{- $metricRelabelings = append $metricRelabelings $rule -}}
{{- end }}
# What each tenant has to pay. Every series is shown by ONE replica at a time, and by another one after a restart:
# labels that follow the replica are emptied, by the metric's name, so that `up` and `scrape_*` keep theirs.
{{ include "tracetally.endpoint" (dict "of" $of "path" "/usage_metrics" "shared" $shared "relabelings" $relabelings "metricRelabelings" $metricRelabelings) }}
{{- end }}
{{- if .self }}
# How the service itself fares: here `instance` and `pod` tell the replicas apart.
{{ include "tracetally.endpoint" (dict "of" .root.Values.scrape.self "path" "/metrics" "shared" $shared "relabelings" list "metricRelabelings" list) }}
{{- end }}
{{- end -}}
