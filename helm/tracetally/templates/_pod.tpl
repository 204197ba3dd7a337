{{/* The pod, once, for either kind of workload. */}}
{{- define "tracetally.pod" -}}
{{- $scheme := include "tracetally.scheme" . -}}
{{- $settings := include "tracetally.settings" . | fromJson -}}
{{- $secretFiles := include "tracetally.secretFiles" . | fromJsonArray -}}
metadata:
  labels:
    {{- include "tracetally.selectorLabels" . | nindent 4 }}
    app.kubernetes.io/component: replica
    {{- with .Values.commonLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
    {{- with .Values.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  annotations:
    kubectl.kubernetes.io/default-container: tracetally
    {{- if .Values.restartOnConfigChange }}
    checksum/config: {{ include "tracetally.config" . | sha256sum }}
    {{- end }}
    {{- with .Values.podAnnotations }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  {{- with .Values.imagePullSecrets }}
  imagePullSecrets:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  serviceAccountName: {{ include "tracetally.serviceAccountName" . }}
  automountServiceAccountToken: false
  # Kubernetes would add variables that are named like settings: a Service called tracetally-server is enough.
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .Values.terminationGracePeriodSeconds }}
  securityContext:
    {{- toYaml .Values.podSecurityContext | nindent 4 }}
  {{- with .Values.initContainers }}
  initContainers:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  containers:
    - name: tracetally
      image: {{ include "tracetally.image" . | quote }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      args:
        - serve
        - --config
        - /etc/tracetally/config.yaml
        {{- with .Values.extraArgs }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
      {{- with include "tracetally.env" . | trim }}
      env:
        {{- . | nindent 8 }}
      {{- end }}
      {{- with .Values.extraEnvFrom }}
      envFrom:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      ports:
        - name: http
          containerPort: {{ $settings.server.port }}
          protocol: TCP
      startupProbe:
        httpGet: { path: /live, port: http, scheme: {{ $scheme }} }
        {{- toYaml .Values.startupProbe | nindent 8 }}
      # Depends neither on Kafka nor on Redis: an outage of theirs restarts nobody.
      livenessProbe:
        httpGet: { path: /live, port: http, scheme: {{ $scheme }} }
        {{- toYaml .Values.livenessProbe | nindent 8 }}
      readinessProbe:
        httpGet: { path: /ready, port: http, scheme: {{ $scheme }} }
        {{- toYaml .Values.readinessProbe | nindent 8 }}
      {{- with .Values.lifecycle }}
      lifecycle:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      resources:
        {{- toYaml .Values.resources | nindent 8 }}
      securityContext:
        {{- toYaml .Values.securityContext | nindent 8 }}
      volumeMounts:
        - name: config
          mountPath: /etc/tracetally
          readOnly: true
        {{- if $secretFiles }}
        - name: secrets
          mountPath: {{ include "tracetally.secretsPath" . }}
          readOnly: true
        {{- end }}
        - name: tmp
          mountPath: /tmp
        {{- with .Values.extraVolumeMounts }}
        {{- toYaml . | nindent 8 }}
        {{- end }}
    {{- with .Values.extraContainers }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumes:
    - name: config
      configMap:
        name: {{ include "tracetally.fullname" . }}
    {{- if $secretFiles }}
    - name: secrets
      projected:
        defaultMode: 0440
        sources:
          {{- range $secretFiles }}
          - secret:
              name: {{ .secret }}
              items:
                - { key: {{ .key | quote }}, path: {{ .file }} }
          {{- end }}
    {{- end }}
    - name: tmp
      emptyDir: { sizeLimit: 64Mi }
    {{- with .Values.extraVolumes }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- include "tracetally.scheduling" . | nindent 2 }}
{{- end -}}

{{- define "tracetally.env" -}}
{{- range list
  (dict "of" .Values.kafka.auth "key" "usernameKey" "name" "TRACETALLY_KAFKA_SASL_USERNAME")
  (dict "of" .Values.schemaRegistry.auth "key" "usernameKey" "name" "TRACETALLY_SCHEMA_REGISTRY_USERNAME")
  (dict "of" .Values.redis.auth "key" "usernameKey" "name" "TRACETALLY_REDIS_USERNAME")
  (dict "of" .Values.redis.auth "key" "urlKey" "name" "TRACETALLY_REDIS_URL")
}}
{{- $key := get .of .key }}
{{- if and .of.existingSecret $key }}
- name: {{ .name }}
  valueFrom:
    secretKeyRef: { name: {{ .of.existingSecret }}, key: {{ $key | quote }} }
{{- end }}
{{- end }}
{{- with include "tracetally.heap" . }}
- name: NODE_OPTIONS
  value: --max-old-space-size={{ . }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{- define "tracetally.scheduling" -}}
{{- $selector := dict "matchLabels" (include "tracetally.selectorLabels" . | fromYaml) -}}
{{- $spread := list -}}
{{- range .Values.topologySpreadConstraints -}}
{{- $spread = append $spread (ternary . (merge (dict "labelSelector" $selector) .) (hasKey . "labelSelector")) -}}
{{- end -}}
{{- if not $spread -}}
{{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" -}}
{{- $spread = append $spread (dict "maxSkew" 1 "topologyKey" . "whenUnsatisfiable" "ScheduleAnyway" "labelSelector" $selector) -}}
{{- end -}}
{{- end -}}
topologySpreadConstraints:
  {{- toYaml $spread | nindent 2 }}
{{- range $name := list "nodeSelector" "tolerations" "affinity" "priorityClassName" "runtimeClassName" "schedulerName" "dnsPolicy" "dnsConfig" "hostAliases" }}
{{- with get $.Values $name }}
{{ toYaml (dict $name .) }}
{{- end }}
{{- end }}
{{- end -}}
